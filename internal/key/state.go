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

// An act is a class of operations that the states treat alike.
type act int

const (
	actUse        act = iota // cryptography, new versions, rotation policy
	actEdit                  // description, tags
	actSwitch                // enable, disable
	actSchedule              // schedule deletion
	actCancel                // cancel deletion
	actNewAlias              // create an alias
	actPointAlias            // point an existing alias at the key
	actProtect               // turn deletion protection on
	actRead                  // describe, list, delete an alias, turn protection off
)

// verdicts answers, for each act, what each state says to it; a state that is not
// named allows it. Source: Alibaba Cloud KMS, "how the key state affects API calls".
var verdicts = map[act]map[State]fault.Kind{
	actUse:        {Disabled: fault.KeyDisabled, PendingDeletion: fault.KeyPendingDeletion},
	actEdit:       {PendingDeletion: fault.KeyPendingDeletion},
	actSwitch:     {PendingDeletion: fault.StateConflict},
	actSchedule:   {PendingDeletion: fault.StateConflict},
	actCancel:     {Enabled: fault.StateConflict, Disabled: fault.StateConflict},
	actNewAlias:   {PendingDeletion: fault.StateConflict},
	actPointAlias: {PendingDeletion: fault.KeyPendingDeletion},
	actProtect:    {PendingDeletion: fault.StateConflict},
	actRead:       {},
}

// allow tells whether the key's state allows the act.
func (k Key) allow(a act) error {
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
