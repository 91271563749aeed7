package sftp

import (
	"encoding/binary"
	"io/fs"
	"math"
	"time"
)

// The packets of SFTP version 3 that this package sends and reads itself
// (draft-ietf-secsh-filexfer-02).
const (
	packetInit     = 1
	packetVersion  = 2
	packetOpen     = 3
	packetClose    = 4
	packetLstat    = 7
	packetSetstat  = 9
	packetOpendir  = 11
	packetReaddir  = 12
	packetRemove   = 13
	packetMkdir    = 14
	packetRmdir    = 15
	packetRealpath = 16
	packetStat     = 17
	packetRename   = 18
	packetReadlink = 19
	packetSymlink  = 20
	packetStatus   = 101
	packetHandle   = 102
	packetName     = 104
	packetAttrs    = 105
	packetExtended = 200
	packetReply    = 201 // to an extended one
)

const (
	attrSize     = 1
	attrOwner    = 2
	attrMode     = 4
	attrTimes    = 8
	attrExtended = 1 << 31
)

const (
	openRead  = 1
	openWrite = 2
	openNew   = 0x08 | 0x20 // create, exclusively
)

// request is a packet that is being written. Its length and its id are filled in
// when it is sent.
type request struct{ b []byte }

func newRequest(kind byte) *request {
	return &request{append(make([]byte, 0, 128), 0, 0, 0, 0, kind, 0, 0, 0, 0)}
}

// extended is a request by an extension's name.
func extended(name string) *request { return newRequest(packetExtended).str(name) }

func (r *request) str(s string) *request {
	r.b = append(binary.BigEndian.AppendUint32(r.b, uint32(len(s))), s...)
	return r
}

func (r *request) u32(n uint32) *request {
	r.b = binary.BigEndian.AppendUint32(r.b, n)
	return r
}

func (r *request) u64(n int64) *request {
	r.b = binary.BigEndian.AppendUint64(r.b, uint64(n))
	return r
}

// seal fills in id and length.
func (r *request) seal(id uint32) []byte {
	binary.BigEndian.PutUint32(r.b, uint32(len(r.b)-4))
	binary.BigEndian.PutUint32(r.b[5:], id)
	return r.b
}

// answer is a packet that is being read. Beyond its end everything is zero, and
// bad is set.
type answer struct {
	kind byte
	b    []byte
	bad  bool
}

func (a *answer) take(n int) []byte {
	if a.bad || n > len(a.b) {
		a.bad = true
		return make([]byte, min(n, 8))
	}
	taken := a.b[:n]
	a.b = a.b[n:]
	return taken
}

func (a *answer) u32() uint32 { return binary.BigEndian.Uint32(a.take(4)) }

// u64 keeps to what an int64 can hold.
func (a *answer) u64() int64 {
	return int64(min(binary.BigEndian.Uint64(a.take(8)), math.MaxInt64))
}

func (a *answer) str() string {
	n := a.u32()
	if int64(n) > int64(len(a.b)) {
		a.bad = true
		return ""
	}
	return string(a.take(int(n)))
}

// err is nil for an answer of the kind want, else what the server says instead.
func (a *answer) err(want byte) error {
	switch {
	case a.kind == packetStatus:
		s := newStatus(a.u32(), a.str())
		if want == packetStatus && s.code == statusOK {
			return nil
		}
		if s.code == statusLost || s.code == statusNoConnection {
			return errLost
		}
		return s
	case a.kind != want:
		return errProtocol
	}
	return nil
}

// stat is what the server says of a file. The zero value says that there is none.
type stat struct {
	exists   bool
	mode     fs.FileMode
	size     int64 // bytes
	mtime    time.Time
	uid, gid uint32
	owned    bool // uid and gid are known
}

// same reports whether nothing tells the two apart.
func (s stat) same(o stat) bool {
	return s.exists == o.exists && s.size == o.size && s.mtime.Equal(o.mtime)
}

func (a *answer) attrs() stat {
	st := stat{exists: true, mtime: time.Unix(0, 0)}
	flags := a.u32()
	if flags&attrSize != 0 {
		st.size = a.u64()
	}
	if flags&attrOwner != 0 {
		st.uid, st.gid, st.owned = a.u32(), a.u32(), true
	}
	if flags&attrMode != 0 {
		st.mode = modeOf(a.u32())
	} else {
		st.mode = 0o644
	}
	if flags&attrTimes != 0 {
		a.u32() // of the last access
		st.mtime = time.Unix(int64(a.u32()), 0)
	}
	if flags&attrExtended != 0 {
		for n := a.u32(); n > 0 && !a.bad; n-- {
			a.str()
			a.str()
		}
	}
	return st
}

// modeOf turns the mode of POSIX into Go's.
func modeOf(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & 0o170000 {
	case 0o040000:
		mode |= fs.ModeDir
	case 0o120000:
		mode |= fs.ModeSymlink
	case 0o010000:
		mode |= fs.ModeNamedPipe
	case 0o140000:
		mode |= fs.ModeSocket
	case 0o020000:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case 0o060000:
		mode |= fs.ModeDevice
	}
	if m&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if m&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if m&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// posixMode is the reverse of modeOf for what SetMode sets.
func posixMode(mode fs.FileMode) uint32 {
	m := uint32(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		m |= 0o4000
	}
	if mode&fs.ModeSetgid != 0 {
		m |= 0o2000
	}
	if mode&fs.ModeSticky != 0 {
		m |= 0o1000
	}
	return m
}
