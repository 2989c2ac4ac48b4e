package keypage

// Operations answers the words for actions.
func Operations() map[string][2]string { return operations }
