package unpack

import "github.com/keyward/keyward/internal/leak/unpack/pdf"

// unpdf visits the pages of a PDF file, what stands between them, and what is embedded.
func unpdf(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	return pdf.New(at, size, s.Window).Visit(func(p pdf.Part) error {
		return visit(Member{Name: p.Name, Plain: p.Text, Reader: p.Reader})
	})
}
