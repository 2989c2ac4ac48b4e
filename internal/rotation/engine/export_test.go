package engine

import "context"

// Tidy is one look at what the spool holds.
func (s *Service) Tidy(ctx context.Context) error { return s.tidy(ctx) }
