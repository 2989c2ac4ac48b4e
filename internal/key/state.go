package key

import "github.com/keyward/keyward/internal/fault"

// A State is where a key stands in its life.
//
//	          Disable               Schedule
//	Enabled ─────────► Disabled ─────────────► PendingDeletion ──► gone
//	   ▲ ◄───────────── │  Enable                  ▲   │
//	   │                └──────────────────────────┘   │ Cancel
//	   └───────────────────────────────────────────────┘
//
// Schedule also leads from Enabled to PendingDeletion; Cancel always leads to Enabled.
// A key whose material comes from outside is PendingImport while it has none: at first,
// after the material was deleted, and after it has expired. Import leads from there to
// Enabled, Schedule to PendingDeletion, and Cancel back.
type State string

// The states.
const (
	Enabled         State = "Enabled"
	Disabled        State = "Disabled"
	PendingDeletion State = "PendingDeletion"
	PendingImport   State = "PendingImport"
)

// An Act is a class of operations that the states treat alike.
type Act int

// The acts.
const (
	ActUse        Act = iota // cryptography, new versions, rotation policy
	ActEdit                  // description, tags
	ActSwitch                // enable, disable
	ActSchedule              // schedule deletion
	ActCancel                // cancel deletion
	ActNewAlias              // create an alias
	ActPointAlias            // point an existing alias at the key
	ActProtect               // turn deletion protection on
	ActImport                // import material
	ActRead                  // describe, list, delete an alias or material, turn protection off
)

// verdicts answers, for each act, what each state says to it; a state that is not
// named allows it. Source: Alibaba Cloud KMS, "how the key state affects API calls".
var verdicts = map[Act]map[State]fault.Kind{
	ActUse:        {Disabled: fault.KeyDisabled, PendingDeletion: fault.KeyPendingDeletion, PendingImport: fault.KeyPendingImport},
	ActEdit:       {PendingDeletion: fault.KeyPendingDeletion},
	ActSwitch:     {PendingDeletion: fault.StateConflict, PendingImport: fault.StateConflict},
	ActSchedule:   {PendingDeletion: fault.StateConflict},
	ActCancel:     {Enabled: fault.StateConflict, Disabled: fault.StateConflict, PendingImport: fault.StateConflict},
	ActNewAlias:   {PendingDeletion: fault.StateConflict},
	ActPointAlias: {PendingDeletion: fault.KeyPendingDeletion},
	ActProtect:    {PendingDeletion: fault.StateConflict},
	ActImport:     {PendingDeletion: fault.StateConflict},
	ActRead:       {},
}

// Allow tells whether the key's state allows the act: [fault.KeyDisabled],
// [fault.KeyPendingDeletion], [fault.KeyPendingImport] or [fault.StateConflict] if not.
func (k Key) Allow(a Act) error {
	switch kind := verdicts[a][k.State]; kind {
	case "":
		return nil
	case fault.KeyDisabled:
		return kind.New("The request was rejected because the key state is Disabled. Enable key %s first.", k.ID)
	case fault.KeyPendingDeletion:
		return kind.New("The request was rejected because the key state is PendingDeletion. Cancel the deletion of key %s first.", k.ID)
	case fault.KeyPendingImport:
		return kind.New("The request was rejected because the key state is PendingImport. Import the material of key %s first.", k.ID)
	default:
		return kind.New("The request was rejected because the key state is %s, which does not allow it.", k.State)
	}
}

// Enter moves the key to a state if the act is allowed; one without material is
// PendingImport instead of Enabled.
func (k *Key) Enter(a Act, to State) error {
	if err := k.Allow(a); err != nil {
		return err
	}
	k.State = to
	if k.Empty && to == Enabled {
		k.State = PendingImport
	}
	return nil
}
