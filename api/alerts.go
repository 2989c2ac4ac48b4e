package api

import "time"

// A ChannelKind is one way to reach people, such as a DingTalk robot.
type ChannelKind struct {
	Name     string  `json:"name"` // "dingtalk"
	Title    Text    `json:"title"`
	Settings []Field `json:"settings"`
	Parts    []Field `json:"parts"`  // of the credential
	Family   string  `json:"family"` // "mail", "chat", "phone", "paging" or "machine"; plans name families
	Group    bool    `json:"group"`  // one message reaches a group; else each person gets one
}

// A ChannelKindList is all kinds of channels.
type ChannelKindList struct {
	Kinds []ChannelKind `json:"kinds"`
}

// A Channel is one configured way to reach people.
type Channel struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`
	Settings  map[string]string `json:"settings"`
	Heartbeat string            `json:"heartbeat,omitempty"` // between two signs of life for a watchdog; such a channel carries nothing else
	Paused    bool              `json:"paused"`
	CreatedAt time.Time         `json:"createdAt"`
	Health    ChannelHealth     `json:"health"`
}

// ChannelHealth is how a channel does.
type ChannelHealth struct {
	SentAt      time.Time `json:"sentAt,omitzero"`      // last message that it took
	FailedAt    time.Time `json:"failedAt,omitzero"`    // last message that it did not take
	Failures    int       `json:"failures"`             // in a row
	Error       string    `json:"error,omitempty"`      // of the last failure
	ErrorZh     string    `json:"errorZh,omitempty"`    // Error in Chinese
	TestedAt    time.Time `json:"testedAt,omitzero"`    // when the last test message left
	ConfirmedAt time.Time `json:"confirmedAt,omitzero"` // when a person last confirmed one
}

// A ChannelList is all channels of the account, by name.
type ChannelList struct {
	Channels []Channel `json:"channels"`
}

// AddChannelRequest says what a channel is to be like.
type AddChannelRequest struct {
	Name       string     `json:"name"` // lower-case letters, digits, dots, hyphens and underscores, at most 63
	Kind       string     `json:"kind"`
	Connection Connection `json:"connection,omitzero"`
	Heartbeat  string     `json:"heartbeat,omitempty"`
}

// UpdateChannelRequest says what to change of a channel.
type UpdateChannelRequest struct {
	Connection *Connection `json:"connection,omitempty"` // settings and credential, both anew
	Heartbeat  *string     `json:"heartbeat,omitempty"`  // "" for none
	Paused     *bool       `json:"paused,omitempty"`
}

// TestChannelRequest asks for a test message.
type TestChannelRequest struct {
	Person string `json:"person,omitempty"` // who gets it, where a channel needs a person; left out for the first who can
}

// A ChannelReceipt is what a channel says of a message that it took.
type ChannelReceipt struct {
	ID    string `json:"id,omitempty"`
	State string `json:"state"` // "accepted", "delivered" or "failed"
}

// ConfirmChannelRequest says that a person read a channel's test message.
type ConfirmChannelRequest struct {
	By string `json:"by,omitempty"` // left out for the caller
}

// A Person can be told.
type Person struct {
	Name     string            `json:"name"`
	Email    string            `json:"email,omitempty"`
	Mobile   string            `json:"mobile,omitempty"`
	IDs      map[string]string `json:"ids"` // by kind of channel
	Language string            `json:"language,omitempty"`
}

// SetPersonRequest says how a person can be told.
type SetPersonRequest struct {
	Email    string            `json:"email,omitempty"`
	Mobile   string            `json:"mobile,omitempty"`   // "+8613800000000"
	IDs      map[string]string `json:"ids,omitempty"`      // by kind of channel: a DingTalk user id, a Slack member id
	Language string            `json:"language,omitempty"` // "en" or "zh"; left out for that of the plan
}

// A PersonList is the people of the account, by name.
type PersonList struct {
	People []Person `json:"people"`
}

// A Rota says who is on call when: its people take turns of equal length.
type Rota struct {
	Name   string    `json:"name"`
	People []string  `json:"people"`
	Start  time.Time `json:"start"` // of the first turn of the first person
	Turn   string    `json:"turn"`
	OnCall string    `json:"onCall"` // whose turn it is now
}

// SetRotaRequest says who takes turns.
type SetRotaRequest struct {
	People []string  `json:"people"`
	Start  time.Time `json:"start"`
	Turn   string    `json:"turn"` // whole hours: "7d"
}

// A RotaList is the rotas of the account, by name.
type RotaList struct {
	Rotas []Rota `json:"rotas"`
}

// An Escalation says when people are told, over what, and who comes next if nobody answers.
type Escalation struct {
	Rungs    []Rung     `json:"rungs"`  // the mildest first
	Levels   [][]string `json:"levels"` // whom to tell, the first to be told first: "owner", "person:NAME", "rota:NAME", "everybody"
	Quiet    QuietHours `json:"quiet,omitzero"`
	Language string     `json:"language"` // "en" or "zh": of messages to groups, and to people who have none of their own
}

// A Rung is one step of the ladder towards a deadline.
type Rung struct {
	Left      string   `json:"left"`                // before the deadline: "30d"; "" is the deadline itself
	Severity  string   `json:"severity"`            // "info", "warning", "critical" or "emergency"
	Families  []string `json:"families"`            // of channels that carry the alarm
	Wait      string   `json:"wait,omitempty"`      // for an acknowledgement: "10s" to "7d"; left out if none is asked for
	Everybody bool     `json:"everybody,omitempty"` // all people are told at once
}

// QuietHours are when alarms of the severity "info" wait.
type QuietHours struct {
	From string `json:"from"` // "22:00"
	To   string `json:"to"`   // "08:00"
	Zone string `json:"zone"` // "Asia/Shanghai"
}

// An Incident is one condition that somebody has to see to. It ends when the condition does.
type Incident struct {
	ID        string         `json:"id"`
	Condition string         `json:"condition"` // what is watched
	Kind      string         `json:"kind"`      // "key-expiry", "key-age", "provider-stale", …
	Title     Text           `json:"title"`
	Subject   string         `json:"subject"`
	Owner     string         `json:"owner"`
	Severity  string         `json:"severity"`
	Facts     []IncidentFact `json:"facts"`
	Deadline  time.Time      `json:"deadline,omitzero"`
	OpenedAt  time.Time      `json:"openedAt"`
	ChangedAt time.Time      `json:"changedAt"`
	EndedAt   time.Time      `json:"endedAt,omitzero"`
	Alarms    int            `json:"alarms"`            // how often people were told
	Unheard   bool           `json:"unheard,omitempty"` // the last alarm reached nobody: no channel and nobody would have carried it
	NextAt    time.Time      `json:"nextAt,omitzero"`   // when somebody is told again unless somebody acknowledges
	AckBy     string         `json:"ackBy,omitempty"`   // who has it
	AckNote   string         `json:"ackNote,omitempty"`
	AckAt     time.Time      `json:"ackAt,omitzero"`
	AckUntil  time.Time      `json:"ackUntil,omitzero"` // when the acknowledgement lapses
	MaxHold   string         `json:"maxHold,omitempty"` // how long an acknowledgement may hold it now; absent when it ended
}

// An IncidentFact is one thing that is known of an incident.
type IncidentFact struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Chinese string `json:"valueZh,omitempty"` // Value in Chinese, of a sentence
}

// ListIncidentsRequest chooses incidents.
type ListIncidentsRequest struct {
	Ended bool `json:"ended,omitempty"` // those that are over, the newest first, instead of the open ones
}

// An IncidentList is incidents.
type IncidentList struct {
	Incidents []Incident `json:"incidents"`
}

// An IncidentFile is an incident with what was sent of it.
type IncidentFile struct {
	Incident   Incident           `json:"incident"`
	Deliveries []IncidentDelivery `json:"deliveries"`
}

// An IncidentDelivery is one message on its way.
type IncidentDelivery struct {
	Alarm    int       `json:"alarm"`
	Why      string    `json:"why,omitempty"` // "opened", "worse", "lapsed" or "unanswered"
	Event    string    `json:"event"`         // "trigger" or "resolve"
	Severity string    `json:"severity"`
	Level    int       `json:"level"`
	Channel  string    `json:"channel"`
	Person   string    `json:"person,omitempty"` // absent for a group
	At       time.Time `json:"at"`
	Progress string    `json:"progress"` // "waiting", "leaving", "sent", "lost", "doubt" or "dropped"
	Attempts int       `json:"attempts"`
	Receipt  string    `json:"receipt,omitempty"`
	Error    string    `json:"error,omitempty"`
	ErrorZh  string    `json:"errorZh,omitempty"` // Error in Chinese
	DoneAt   time.Time `json:"doneAt,omitzero"`
}

// AcknowledgeRequest takes an incident on, which holds the escalation until it lapses.
type AcknowledgeRequest struct {
	By   string `json:"by,omitempty"` // left out for the caller
	Note string `json:"note,omitempty"`
	Hold string `json:"hold,omitempty"` // at most the incident's MaxHold, which is the default
}
