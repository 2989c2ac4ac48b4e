package agefile

import (
	"bytes"
	"errors"
	"fmt"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// CheckRecipients answers an error if one of the texts is no native age recipient
// ("age1…"), or is there twice: two holders would be one.
func CheckRecipients(texts []string) error {
	_, err := parseRecipients(texts)
	return err
}

func parseRecipients(texts []string) ([]age.Recipient, error) {
	seen := map[string]bool{}
	var out []age.Recipient
	for i, text := range texts {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fmt.Errorf("recipient %d is no age recipient", i+1) // age quotes what it was given
		}
		if seen[r.String()] {
			return nil, fmt.Errorf("recipient %d is there twice", i+1)
		}
		seen[r.String()] = true
		out = append(out, r)
	}
	return out, nil
}

// SealText encrypts a short text, and a line break after it, to age recipients, each of
// whom alone can open it with any program for age files. The answer is armored: it can
// be mailed.
func SealText(recipients []string, plain []byte) ([]byte, error) {
	to, err := parseRecipients(recipients)
	if err != nil {
		return nil, fmt.Errorf("sealing a text: %w", err)
	}
	if len(to) == 0 {
		return nil, errors.New("sealing a text: there is no recipient")
	}
	var sealed bytes.Buffer
	armored := armor.NewWriter(&sealed)
	w, err := age.Encrypt(armored, to...)
	if err != nil {
		return nil, fmt.Errorf("sealing a text: %w", err)
	}
	_, err = w.Write(append(bytes.Clone(plain), '\n'))
	if err = errors.Join(err, w.Close(), armored.Close()); err != nil {
		return nil, fmt.Errorf("sealing a text: %w", err)
	}
	return sealed.Bytes(), nil
}
