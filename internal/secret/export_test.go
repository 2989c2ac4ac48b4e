package secret

import "github.com/keyward/keyward/internal/material"

// SealValue encrypts the value of a version with a data key.
func SealValue(dataKey, value material.Bytes, v Version) ([]byte, error) {
	return sealValue(dataKey, value, v.binding())
}
