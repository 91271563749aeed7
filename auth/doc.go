// Package auth says who may enter and what they may do. It knows no storage and
// no protocol: a [Principal] names a person, [Policy] answers whether an operation
// on a name is allowed, and the gateway joins both to a file system.
//
// A source of users is an [Authenticator]: [Anonymous], or a [Directory] such as
// [Users], whose accounts were given by the program or read from a users file
// ([LoadUsers]). [Chain] asks several in order and is the one place where
// passwords are checked, so that what a login costs does not tell which names
// exist, and so that many logins at once can't take all CPUs. Sources that check
// passwords themselves are in the packages below; [Hold] hides how long they take.
package auth
