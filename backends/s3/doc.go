// Package s3 is a vfs.FS over a bucket of Amazon S3 or of any store that speaks
// its protocol.
//
// # Names
//
// The name "a/b" is the key PREFIX + "a/b". A directory exists while any key lies
// below "a/", if only the empty marker "a/" that Mkdir writes; when the last file
// of a directory without a marker goes, the marker is written first, so that the
// directory does not vanish under the client. Where "a" and "a/b" are both keys,
// the directory is what listings and Stat show, and Open reaches the object. Keys
// that FTP cannot show (an empty segment, "..", a line feed, a segment over 255
// bytes) are left out of listings, counted and logged. The element ".ftpgate" is
// the gateway's own: it is hidden, and refused in every name.
//
// # Uploads
//
// An upload that fits into one part is one PutObject at Commit. A longer one is a
// multipart upload on the final key, of which S3 shows nothing before it is
// completed. Parts are 8 MiB, doubling every 1,000 parts, at most five on their
// way; their buffers grow with the bytes that really arrived and come from one
// budget that all transfers of the FS share. While the budget is used up, a reader
// waits, and TCP makes the client wait.
//
// What an owner sends can be resumed, in another process too: a manifest below
// ".ftpgate/up/" names the multipart upload and who writes to it, and changes only by
// compare-and-swap. Each writer claims part numbers there before it uses them, so
// that nothing a dead or fenced one still has on its way lands among the parts of its
// successor. What is durable is the parts without a gap, as the store lists them, and,
// after Park, a tail object with the rest; an upload goes on where a part ends, and
// anywhere in the tail. Append and WriteAt onto a complete file begin with copies made
// by the store, and replace only the version that they continue.
//
// # Downloads
//
// The first GET tells size and ETag; every further one of the same file carries
// the ETag as If-Match, so that a cut connection is taken up at the exact byte and
// never goes on in another version. While the client waits for the store, ranges
// ahead are requested beside it, up to six requests at a time and into memory of the same
// budget; a client that is slower than the store, or a budget that is used up, leaves
// one plain request.
//
// # Consistency
//
// All decisions rest on single requests; there is no state beside the bucket. What
// S3 can't do in one step (a rename is a copy and a deletion) is not announced as
// atomic by Caps. Conditional writes, which make NoReplace race-free, are tried at
// Open.
package s3
