// Package auth says who may enter and what they may do. It knows no storage and
// no protocol: a [Principal] names a person, [Policy] answers whether an operation
// on a name is allowed, and the gateway joins both to a file system.
package auth
