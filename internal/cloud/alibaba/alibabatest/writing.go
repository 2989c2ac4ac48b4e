package alibabatest

import (
	"net/http"
	"slices"
	"time"
)

// key is the key that a call is about, which is not deleted and belongs to the user that
// the call names.
func (c *Cloud) key(a call) (*User, *Key, *refusal) {
	u, refused := c.subject(a)
	if refused != nil {
		return nil, nil, refused
	}
	id := a.param("UserAccessKeyId")
	i := slices.IndexFunc(u.Keys, func(k Key) bool { return k.ID == id && k.Deleted.IsZero() && k.Token == "" })
	if i < 0 {
		return nil, nil, noKey
	}
	return u, &u.Keys[i], nil
}

func alive(u *User) (n int) {
	for _, k := range u.Keys {
		if k.Deleted.IsZero() && k.Token == "" {
			n++
		}
	}
	return n
}

// createAccessKey is the only call that tells a secret.
func (c *Cloud) createAccessKey(a call) (object, *refusal) {
	u, refused := c.subject(a)
	switch {
	case refused != nil:
		return nil, refused
	case alive(u) >= MaxKeys:
		return nil, overLimit
	}
	k := c.complete(Key{known: c.Now().Add(c.Settle)})
	u.Keys = append(u.Keys, k)
	return object{"AccessKey": object{"AccessKeyId": k.ID, "AccessKeySecret": k.Secret, "Status": status(k), "CreateDate": date(k.Created)}}, nil
}

func (c *Cloud) updateAccessKey(a call) (object, *refusal) {
	_, k, refused := c.key(a)
	if refused != nil {
		return nil, refused
	}
	switch a.param("Status") {
	case "Active":
		k.Inactive = false
	case "Inactive":
		k.Inactive = true
	default:
		return nil, refuse(http.StatusBadRequest, "InvalidParameter.Status", `The parameter - "Status" is incorrect.`)
	}
	k.Updated = c.Now()
	return object{}, nil
}

// deleteAccessKey puts a user's key into the recycle bin, of which the oldest gives way; the
// account's own is gone. A key must be switched off before, as the user guide demands.
func (c *Cloud) deleteAccessKey(a call) (object, *refusal) {
	u, k, refused := c.key(a)
	if refused != nil {
		return nil, refused
	}
	if !k.Inactive {
		return nil, activeKey
	}
	k.Deleted = c.Now()
	var bin []Key
	for _, k := range u.Keys {
		if !k.Deleted.IsZero() {
			bin = append(bin, k)
		}
	}
	slices.SortFunc(bin, func(a, b Key) int { return b.Deleted.Compare(a.Deleted) })
	keep := MaxBin
	if u == c.root {
		keep = 0
	}
	for _, old := range bin[min(keep, len(bin)):] {
		u.Keys = slices.DeleteFunc(u.Keys, func(k Key) bool { return k.ID == old.ID })
	}
	return object{}, nil
}

// inBin is the deleted key that a call is about.
func (c *Cloud) inBin(a call) (*User, int, *refusal) {
	id := a.param("UserAccessKeyId")
	for _, u := range c.users {
		if named := a.param("UserId"); named != "" && named != u.ID || !u.Deleted.IsZero() {
			continue
		}
		for i, k := range u.Keys {
			if _, ok := c.binned(u, k); ok && k.ID == id {
				return u, i, nil
			}
		}
	}
	return nil, 0, noKey
}

// restoreAccessKey takes a key out of the recycle bin. It comes back switched off.
func (c *Cloud) restoreAccessKey(a call) (object, *refusal) {
	u, i, refused := c.inBin(a)
	switch {
	case refused != nil:
		return nil, refused
	case alive(u) >= MaxKeys:
		return nil, overLimit
	}
	k := &u.Keys[i]
	k.Deleted, k.Inactive, k.Updated = time.Time{}, true, c.Now()
	return object{}, nil
}

func (c *Cloud) deleteAccessKeyInRecycleBin(a call) (object, *refusal) {
	u, i, refused := c.inBin(a)
	if refused != nil {
		return nil, refused
	}
	u.Keys = slices.Delete(u.Keys, i, i+1)
	return object{}, nil
}
