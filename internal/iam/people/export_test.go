package people

import "github.com/keyward/keyward/internal/material"

// CheckPassword checks a password of a user.
func CheckPassword(text, login string) error {
	return readCommon(commonText).checkPassword(material.NewBytes([]byte(text)), login)
}

// Pieces answers how many pieces a text consists of.
func Pieces(text string) int { return readCommon(commonText).pieces(text, nil) }
