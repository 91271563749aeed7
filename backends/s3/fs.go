package s3

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/ftpgate/ftpgate/vfs"
)

// FS is a bucket, or the part of it below a prefix, as a vfs.FS. Its methods may be
// called concurrently.
type FS struct {
	client  *awss3.Client
	bucket  string
	prefix  string // empty or ending in '/'
	profile profile
	stored  attributes // of new objects, by the options
	mtimes  bool       // Options.KeepModTime
	tuning  tuning
	caps    vfs.Caps
	facts   facts
	log     *slog.Logger
	opened  time.Time // stands for the time of directories, which have none
	buffers *budget
	leaving departures
	running writers
	age     atomic.Int64 // counts changes through this FS, for sessions
	node    string       // names this machine in manifests
	stop    context.CancelFunc
	house   sync.WaitGroup // the background
}

// facts are what the probe at the start learned of the store.
type facts struct {
	readOnly    bool // the credentials may not write
	putOnce     bool // PutObject honours If-None-Match
	putMatch    bool // PutObject honours If-Match
	finishOnce  bool // CompleteMultipartUpload honours If-None-Match
	finishMatch bool // CompleteMultipartUpload honours If-Match
	etagIsMD5   bool // the ETag of a part is the MD5 of its bytes
	plainKeys   bool // listings can't encode keys, and so show only what XML can say
}

// Open connects to the bucket and checks it: that it is there, that the
// credentials are right, and which conditional writes it knows. Its errors are one
// line for the operator and come within a few seconds. ctx governs Open only.
func Open(ctx context.Context, o Options) (*FS, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.tune()
	f := &FS{
		stored: o.storedAttributes(), mtimes: o.KeepModTime,
		bucket: o.Bucket, tuning: o.tuning, log: o.Logger, opened: time.Now().UTC().Truncate(time.Second),
		buffers: newBudget(o.Buffers, o.tuning.bufferWait),
	}
	if o.Prefix != "" {
		f.prefix = o.Prefix + "/"
	}
	f.node, _ = os.Hostname()
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.tuning.check, errCheckTime)
	defer cancel()
	var err error
	if f.client, f.profile, err = newClient(ctx, o); err != nil {
		return nil, o.problem(ctx, nil, err)
	}
	if err := f.check(ctx); err != nil {
		return nil, o.problem(ctx, f.client, err)
	}
	// Amazon documents what others are asked for by the probe.
	f.facts.etagIsMD5 = f.profile.provider == AWS && o.Encryption != CustomerEncryption
	if f.facts.readOnly = o.ReadOnly; !o.ReadOnly {
		if err := f.probe(ctx); err != nil {
			return nil, o.problem(ctx, f.client, err)
		}
	}
	if f.caps = f.facts.caps(); f.mtimes && !f.facts.readOnly {
		f.caps |= vfs.CanSetModTime
	}
	house, stop := context.WithCancel(context.Background())
	if f.stop = stop; f.caps.Has(vfs.CanPark) {
		f.house.Go(func() { f.keepHouse(house) })
	}
	f.log.Info("bucket opened", "bucket", f.bucket, "prefix", f.prefix, "provider", string(f.profile.provider), "caps", f.caps.String())
	return f, nil
}

func (k facts) caps() vfs.Caps {
	c := vfs.AtomicCommit
	if k.etagIsMD5 {
		c |= vfs.CanHash
	}
	if k.readOnly {
		return c
	}
	c |= vfs.CanWrite | vfs.CanAppend | vfs.CanWriteAt | vfs.CanRenameDir | vfs.CanCopy
	if k.putOnce && k.putMatch {
		c |= vfs.CanPark
	}
	if k.putOnce && k.finishOnce {
		c |= vfs.CanNoReplace
	}
	return c
}

// Caps is constant for the life of the FS.
func (f *FS) Caps() vfs.Caps { return f.caps }

// Close ends the background and releases idle connections. Transfers should have
// ended before.
func (f *FS) Close() error {
	f.stop()
	f.house.Wait()
	if g, ok := f.client.Options().HTTPClient.(*stallGuard); ok {
		g.next.CloseIdleConnections()
	}
	return nil
}

// writable returns the key of name for a change.
func (f *FS) writable(op, name string) (string, error) {
	f.changed()
	key, err := f.key(op, name)
	if err == nil && f.facts.readOnly {
		err = &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
	}
	return key, err
}

// surely returns a context for a step that is not to be given up half-way: it survives
// ctx for as long as a clean-up may take.
func (f *FS) surely(ctx context.Context) (context.Context, context.CancelFunc) {
	sure, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(f.tuning.cleanup, cancel) })
	return sure, func() {
		stop()
		cancel()
	}
}

// detached returns a context for clean-up, which survives ctx for a bounded time.
func (f *FS) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), f.tuning.cleanup)
}
