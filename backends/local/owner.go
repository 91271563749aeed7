package local

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
)

// ownership is whom new files belong to; -1 is the process's user or group.
type ownership struct{ uid, gid int }

func (o ownership) given() bool { return o.uid >= 0 || o.gid >= 0 }

// ownershipOf reads Options.Chown.
func ownershipOf(text string) (ownership, error) {
	o := ownership{-1, -1}
	if text == "" {
		return o, nil
	}
	name, group, _ := strings.Cut(text, ":")
	var err error
	if name != "" {
		o.uid, err = idOf(name, func() (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		})
	}
	if group != "" && err == nil {
		o.gid, err = idOf(group, func() (string, error) {
			g, err := user.LookupGroup(group)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		})
	}
	if err == nil && !o.given() {
		err = errors.New("it names nobody")
	}
	if err != nil {
		return o, fmt.Errorf("new files can't be given to %q: %w: write user, user:group or :group, by name or number", text, err)
	}
	return o, nil
}

// idOf is the number that name is, or else the one that lookup finds.
func idOf(name string, lookup func() (string, error)) (int, error) {
	text := name
	if strings.Trim(name, "0123456789") != "" {
		var err error
		if text, err = lookup(); err != nil {
			return -1, err
		}
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return -1, fmt.Errorf("%s is no number of a user or group here", text)
	}
	return int(n), nil
}
