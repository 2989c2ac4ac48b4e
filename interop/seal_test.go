package interop_test

const sealVariable = "KEYWARD_INTEROP_SEAL"

func sealMain() int { return 0 }
