package vfs

import "io/fs"

// ReadOnly returns fsys without the means to change it: every mutation is
// fs.ErrPermission.
func ReadOnly(fsys FS) FS {
	return &readOnlyFS{guardFS{inner: fsys, rules: check(func(op Op, _ string) error {
		if op.Mutates() {
			return fs.ErrPermission
		}
		return nil
	})}}
}

// readOnlyFS is a guard that also takes the abilities out of Caps.
type readOnlyFS struct{ guardFS }

func (r *readOnlyFS) Caps() Caps { return r.inner.Caps() &^ Mutating }

func (r *readOnlyFS) Sub(dir string) (FS, error) {
	sub, err := Sub(r.inner, dir)
	if err != nil {
		return nil, err
	}
	return ReadOnly(sub), nil
}
