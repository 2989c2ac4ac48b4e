package leaks

// alternatives are the expressions that ripgrep looks for: what keyward's rules that have a
// form of their own would be for it, without their judges.
func alternatives() (args []string) {
	for _, p := range []string{
		`(AKID|IKID)[0-9A-Za-z]{32}`, `LTAI[0-9A-Za-z]{12,24}`, `STS\.[0-9A-Za-z]{16,64}`, `(AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}`, `(HPUA|HSTA)[0-9A-Z]{16}`,
		`AKLT[0-9A-Za-z]{43}`, `ALTAK[0-9A-Za-z]{21,22}`, `bce-v3/ALTAK-[0-9A-Za-z]{21}`, `JDC_[0-9A-F]{28}`, `wx[0-9a-f]{16}`,
		`ww[0-9a-f]{16}`, `SEC[0-9a-f]{64}`, `ding[0-9a-z]{16}`, `cli_[0-9a-z]{16}`, `MII[0-9A-Za-z+/]{2,4}IBADANBgkqhkiG9w0BAQEFAASC`,
		`MII[0-9A-Za-z+/]{2,4}IBAAKC[0-9A-Za-z+/]{200,}`, `(sk|rk)_live_[0-9A-Za-z]{24,}`, `whsec_[0-9A-Za-z]{32,}`, `gh[pousr]_[0-9A-Za-z]{36}`, `npm_[0-9A-Za-z]{36}`,
		`github_pat_[0-9A-Za-z_]{82}`, `glpat-[0-9A-Za-z_-]{20}`, `xox[abeprs]-[0-9A-Za-z-]{10,}`, `sk-ant-api03-[0-9A-Za-z_-]{93}AA`, `sk-[0-9a-f]{32}`,
		`hf_[0-9A-Za-z]{34}`, `dop_v1_[0-9a-f]{64}`, `SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}`, `eyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}`, `-----BEGIN [A-Z ]*PRIVATE KEY-----`,
	} {
		args = append(args, "-e", p)
	}
	return args
}
