package s3

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ftpgate/ftpgate/vfs"
)

const (
	manifestDir = stateDir + "/up/"
	tailDir     = stateDir + "/tail/"
	// reserve is how many part numbers a writer claims at a time.
	reserve = 16
	// maxManifest bounds what is read as a manifest, in bytes.
	maxManifest = 1 << 20
)

// manifest says all that another process needs to go on with an upload. It is a
// small object, written by compare-and-swap alone.
//
// Each writer has part numbers of its own, above all that earlier ones claimed, and
// sends none before it is claimed here. So a part that a dead or fenced writer
// still has on its way never lands among those of its successor.
type manifest struct {
	Key    string `json:"key"`
	Owner  []byte `json:"owner"`            // any text, so in base64
	Upload string `json:"upload,omitempty"` // id of the multipart upload; empty: there is only a tail
	Sums   bool   `json:"sums,omitempty"`   // its parts have checksums
	Base   int64  `json:"base"`             // size of part 1 by the plan, in bytes

	// What was kept when the present writer began, or, if Parked, all there is.
	Runs []run `json:"runs,omitempty"`
	Tail *tail `json:"tail,omitempty"` // behind the runs

	// The present writer.
	Writer string `json:"writer"` // its identity, random
	Node   string `json:"node,omitempty"`
	At     int64  `json:"at"`    // where its first part goes, a boundary of the runs
	Next   int32  `json:"next"`  // its first part number
	Limit  int32  `json:"limit"` // the last one it may use

	Parked bool `json:"parked,omitempty"` // the writer is gone
	// Void hides the upload from its owner, who began another of the name. Its
	// writer may still commit.
	Void bool `json:"void,omitempty"`
	// Over is the ETag of the complete file that the upload continues.
	Over    string    `json:"over,omitempty"`
	Touched time.Time `json:"touched"`
}

// run is a sequence of parts.
type run struct {
	First int32 `json:"first"`
	Last  int32 `json:"last"`
	Size  int64 `json:"size"` // of all of them, in bytes
}

// tail is the object that holds the last bytes of a parked upload.
type tail struct {
	Key  string `json:"key"`
	Size int64  `json:"size"` // bytes
}

// kept is the size of the runs, in bytes.
func (m *manifest) kept() (n int64) {
	for _, r := range m.Runs {
		n += r.Size
	}
	return n
}

func (m *manifest) tailSize() int64 {
	if m.Tail == nil {
		return 0
	}
	return m.Tail.Size
}

// record is a manifest in the store. It is for one goroutine.
type record struct {
	f    *FS
	key  string
	etag string // empty: not written yet
	when time.Time
	manifest
}

var (
	// errFenced: another writer has taken the upload over, or dropped it.
	errFenced = fmt.Errorf("%w: another session has taken the upload over", vfs.ErrBusy)
	errNoPark = fmt.Errorf("the manifest of the upload cannot be read")
)

// digest is a part of a manifest's key.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// claimPrefix is where the manifests of the owner's uploads of a key lie: below
// those of the directory and of the owner in it.
func (f *FS) claimPrefix(key, owner string) string {
	dir, _ := vfs.Split("/" + key)
	return f.ownerPrefix(strings.TrimPrefix(dir, "/"), owner) + digest(key) + "/"
}

func (f *FS) dirPrefix(dirKey string) string {
	return f.prefix + manifestDir + digest(strings.TrimSuffix(dirKey, "/")) + "/"
}

func (f *FS) ownerPrefix(dirKey, owner string) string {
	return f.dirPrefix(dirKey) + digest(owner) + "/"
}

// newRecord begins the manifest of a new upload.
func (f *FS) newRecord(key, owner string) *record {
	id := fmt.Sprintf("%013x-%s", time.Now().UnixMilli(), rand.Text()[:10])
	return &record{f: f, key: f.claimPrefix(key, owner) + id, manifest: manifest{
		Key: strings.TrimPrefix(key, f.prefix), Owner: []byte(owner), Writer: rand.Text(), Node: f.node, Next: 1,
	}}
}

// newTailKey names a tail after its manifest, so that one without can be told.
func (r *record) newTailKey() string {
	return r.f.prefix + tailDir + strings.TrimPrefix(r.key, r.f.prefix+manifestDir) + "/" + rand.Text()[:10]
}

// save writes the manifest if the stored one is still this writer's. errFenced
// says that it is not.
func (r *record) save(ctx context.Context) error {
	for try := 1; ; try++ {
		err := r.write(ctx)
		if uncertain(err) && r.landed(ctx) {
			return nil
		}
		if status(err) != http.StatusPreconditionFailed && status(err) != http.StatusNotFound {
			return err
		}
		// The owner may have hidden it, or it is our own write whose answer was lost.
		now, err := r.f.readRecord(ctx, r.key)
		switch {
		case status(err) == http.StatusNotFound, err == nil && now.Writer != r.Writer:
			return errFenced
		case err != nil:
			return err
		case try == r.f.tuning.attempts:
			return errFenced
		}
		r.etag, r.Void = now.etag, r.Void || now.Void && !r.Parked
	}
}

// write puts the manifest where the version that was read last stands.
func (r *record) write(ctx context.Context) error {
	r.Touched = time.Now().UTC()
	data, err := json.Marshal(&r.manifest)
	if err != nil {
		return err
	}
	in := &awss3.PutObjectInput{Bucket: &r.f.bucket, Key: &r.key, Body: bytes.NewReader(data), ContentType: aws.String("application/json")}
	in.IfMatch, in.IfNoneMatch = onlyIf{absent: r.etag == "", etag: r.etag}.headers()
	out, err := r.f.client.PutObject(ctx, in)
	if err == nil {
		r.etag, r.when = aws.ToString(out.ETag), r.Touched
	}
	return err
}

// landed reports whether the stored manifest is this one, though the store did not
// confirm it.
func (r *record) landed(ctx context.Context) bool {
	now, err := r.f.readRecord(ctx, r.key)
	if err != nil {
		return false
	}
	there, err := json.Marshal(&now.manifest)
	if err != nil {
		return false
	}
	if own, err := json.Marshal(&r.manifest); err != nil || !bytes.Equal(there, own) {
		return false
	}
	r.etag, r.when = now.etag, r.Touched
	return true
}

// seize makes this process the writer. errFenced says that another one was faster.
func (r *record) seize(ctx context.Context) error {
	r.Writer, r.Node, r.Parked = rand.Text(), r.f.node, false
	err := r.write(ctx)
	switch {
	case status(err) == http.StatusPreconditionFailed || status(err) == http.StatusNotFound:
		return r.seized(ctx)
	case uncertain(err) && r.landed(ctx):
		return nil
	}
	return err
}

// seized finds out whether a seizure that was refused had taken place before.
func (r *record) seized(ctx context.Context) error {
	now, err := r.f.readRecord(ctx, r.key)
	switch {
	case status(err) == http.StatusNotFound, err == nil && now.Writer != r.Writer:
		return errFenced
	case err == nil:
		r.etag = now.etag
	}
	return err
}

// drop deletes an upload that is this process's: the manifest goes last, since it
// is what leads to the rest.
func (r *record) drop(ctx context.Context) error {
	if r.Upload != "" {
		if err := r.f.abortMultipart(ctx, r.f.prefix+r.Key, r.Upload); err != nil {
			return err
		}
	}
	return r.forget(ctx)
}

// forget deletes the tail and the manifest.
func (r *record) forget(ctx context.Context) error {
	if r.Tail != nil {
		if err := r.f.delete(ctx, r.Tail.Key); err != nil {
			return err
		}
	}
	return r.f.delete(ctx, r.key)
}

// delete deletes an object of the gateway's own.
func (f *FS) delete(ctx context.Context, key string) error {
	_, err := f.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &f.bucket, Key: &key})
	if err != nil && status(err) != http.StatusNotFound {
		f.log.Warn("an object of the gateway's own cannot be deleted; the sweeper will try again", "key", key, "error", asStoreError(err))
		return err
	}
	return nil
}

// readRecord reads a manifest.
func (f *FS) readRecord(ctx context.Context, key string) (*record, error) {
	o, body, err := f.get(ctx, key, 0, math.MaxInt64, "")
	if err != nil {
		return nil, err
	}
	s := &stream{f: f, ctx: ctx, object: o, end: min(o.size, maxManifest), body: body}
	defer s.close()
	data, err := io.ReadAll(s)
	if errors.Is(err, errChanged) { // by its writer, under a connection that broke off
		return f.readRecord(ctx, key)
	}
	if err != nil {
		return nil, err
	}
	r := &record{f: f, key: key, etag: o.etag, when: o.modTime}
	if err := json.Unmarshal(data, &r.manifest); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoPark, err)
	}
	return r, nil
}

// stored is a manifest as a listing shows it.
type stored struct {
	key  string
	when time.Time
}

// stateKeys calls each for all objects of the gateway's own below prefix.
func (f *FS) stateKeys(ctx context.Context, prefix string, each func(stored) error) error {
	var token *string
	for {
		out, err := f.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{
			Bucket: &f.bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl, ContinuationToken: token,
		})
		if err != nil {
			return err
		}
		decode := keyDecoder(out.EncodingType)
		for _, o := range out.Contents {
			if err := each(stored{decode(aws.ToString(o.Key)), aws.ToTime(o.LastModified)}); err != nil {
				return err
			}
		}
		if token = out.NextContinuationToken; !aws.ToBool(out.IsTruncated) {
			return nil
		}
	}
}

// records returns the manifests below prefix, the newest first. What can't be read
// is left to the sweeper.
func (f *FS) records(ctx context.Context, prefix string) ([]*record, error) {
	var listed []stored
	err := f.stateKeys(ctx, prefix, func(s stored) error {
		listed = append(listed, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(listed, func(a, b stored) int {
		return cmp.Or(b.when.Compare(a.when), cmp.Compare(b.key, a.key))
	})
	var out []*record
	for _, l := range listed {
		r, err := f.readRecord(ctx, l.key)
		switch {
		case status(err) == http.StatusNotFound: // it ended meanwhile
		case errors.Is(err, errNoPark):
			f.log.Warn("a manifest cannot be read", "key", l.key, "error", err)
		case err != nil:
			return nil, err
		default:
			out = append(out, r)
		}
	}
	return out, nil
}

// claimed returns the manifests of the owner's uploads of a key, the newest first.
func (f *FS) claimed(ctx context.Context, key, owner string) ([]*record, error) {
	if owner == "" || !f.caps.Has(vfs.CanPark) {
		return nil, nil
	}
	all, err := f.records(ctx, f.claimPrefix(key, owner))
	return slices.DeleteFunc(all, func(r *record) bool { return f.prefix+r.Key != key || string(r.Owner) != owner }), err
}
