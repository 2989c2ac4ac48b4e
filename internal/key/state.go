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
type State string

// The states.
const (
	Enabled         State = "Enabled"
	Disabled        State = "Disabled"
	PendingDeletion State = "PendingDeletion"
)

// States lists every state.
func States() []State { return []State{Enabled, Disabled, PendingDeletion} }

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
	ActRead                  // describe, list, delete an alias, turn protection off
)

// verdicts answers, for each act, what each state says to it; a state that is not
// named allows it. Source: Alibaba Cloud KMS, "how the key state affects API calls".
var verdicts = map[Act]map[State]fault.Kind{
	ActUse:        {Disabled: fault.KeyDisabled, PendingDeletion: fault.KeyPendingDeletion},
	ActEdit:       {PendingDeletion: fault.KeyPendingDeletion},
	ActSwitch:     {PendingDeletion: fault.StateConflict},
	ActSchedule:   {PendingDeletion: fault.StateConflict},
	ActCancel:     {Enabled: fault.StateConflict, Disabled: fault.StateConflict},
	ActNewAlias:   {PendingDeletion: fault.StateConflict},
	ActPointAlias: {PendingDeletion: fault.KeyPendingDeletion},
	ActProtect:    {PendingDeletion: fault.StateConflict},
	ActRead:       {},
}

// Allow tells whether the key's state allows the act: [fault.KeyDisabled],
// [fault.KeyPendingDeletion] or [fault.StateConflict] if not.
func (k Key) Allow(a Act) error {
	switch kind := verdicts[a][k.State]; kind {
	case "":
		return nil
	case fault.KeyDisabled:
		return kind.New("The request was rejected because the key state is Disabled. Enable key %s first.", k.ID)
	case fault.KeyPendingDeletion:
		return kind.New("The request was rejected because the key state is PendingDeletion. Cancel the deletion of key %s first.", k.ID)
	default:
		return kind.New("The request was rejected because the key state is %s, which does not allow it.", k.State)
	}
}

// Enter moves the key to a state if the act is allowed.
func (k *Key) Enter(a Act, to State) error {
	if err := k.Allow(a); err != nil {
		return err
	}
	k.State = to
	return nil
}
