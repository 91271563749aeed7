package vfs

import (
	"io/fs"
	"time"
)

// Info is the fs.FileInfo of every backend: a plain value.
type Info struct {
	name    string
	size    int64
	mode    fs.FileMode
	modTime time.Time
	attr    *Attr
}

// Attr is what FileInfo.Sys returns, never an operating system's type. Empty
// fields are unknown.
type Attr struct {
	// Unique is the same for all names of one file and differs between files
	// (MLSx fact "unique", RFC 3659 7.5.2).
	Unique string
	Owner  string
	Group  string
	// MediaType is the IANA type of the content.
	MediaType string
	// Target is where a link leads, as a name of this FS; empty if it leaves the
	// root.
	Target string
	// Created is the time of birth.
	Created time.Time
	// Staged marks an upload that is not complete: only ForOwner shows it, to its
	// owner, and Size is the offset at which it can be continued.
	Staged bool
	// File describes the file that a directory shares its name with, as object
	// stores allow: Open and Size reach it.
	File fs.FileInfo
}

// NewInfo returns an Info for the element name (the last one of the path, "." for
// the root). mode carries the type bits; attr may be nil.
func NewInfo(name string, size int64, mode fs.FileMode, modTime time.Time, attr *Attr) Info {
	return Info{name: name, size: size, mode: mode, modTime: modTime, attr: attr}
}

func (i Info) Name() string       { return i.name }
func (i Info) Size() int64        { return i.size }
func (i Info) Mode() fs.FileMode  { return i.mode }
func (i Info) ModTime() time.Time { return i.modTime }
func (i Info) IsDir() bool        { return i.mode.IsDir() }

// Sys returns nil or the *Attr.
func (i Info) Sys() any {
	if i.attr == nil {
		return nil
	}
	return i.attr
}

// AttrOf returns the *Attr of info, or an empty one: never nil.
func AttrOf(info fs.FileInfo) *Attr {
	if a, ok := info.Sys().(*Attr); ok && a != nil {
		return a
	}
	return &Attr{}
}

// WithName returns info under another name.
func WithName(info fs.FileInfo, name string) Info {
	a, _ := info.Sys().(*Attr)
	return NewInfo(name, info.Size(), info.Mode(), info.ModTime(), a)
}
