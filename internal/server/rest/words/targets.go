package words

import (
	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/target"
)

// TargetKind answers a kind of targets.
func TargetKind(k target.KindOfTarget) api.TargetKind {
	return api.TargetKind{Name: string(k.Name), Settings: Each(k.Form.Settings, field), Parts: Each(k.Form.Credential, field)}
}
