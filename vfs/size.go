package vfs

import (
	"context"
	"io/fs"
)

// Size returns the stored size in bytes of a regular file, which for a staged
// upload is the offset to continue at. It is never translated for TYPE A: to
// count line ends a server would have to read the file, at every SIZE. A directory
// is ErrIsDir, unless a file shares its name; any other thing that is no file is
// fs.ErrPermission.
func Size(ctx context.Context, fsys FS, name string) (int64, error) {
	info, err := fsys.Stat(ctx, name)
	switch {
	case err != nil:
		return 0, PathError("size", name, err)
	case info.IsDir() && AttrOf(info).File != nil:
		return AttrOf(info).File.Size(), nil
	case info.IsDir():
		return 0, PathError("size", name, ErrIsDir)
	case !info.Mode().IsRegular():
		return 0, PathError("size", name, fs.ErrPermission)
	}
	return info.Size(), nil
}
