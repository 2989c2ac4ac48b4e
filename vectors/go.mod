module github.com/keyward/keyward/vectors

go 1.26.8

replace github.com/keyward/keyward => ../

require (
	github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a
	github.com/decred/dcrd/dcrec/secp256k1/v4 v4.4.1
	github.com/emmansun/gmsm v0.44.1
	github.com/google/go-cmp v0.7.0
	github.com/keyward/keyward v0.0.0-00010101000000-000000000000
)

require (
	github.com/dsnet/compress v0.0.1 // indirect
	github.com/geomys/acvp-testdata v0.0.0-20251201200548-d893de8b8b1c // indirect
	golang.org/x/crypto v0.58.0 // indirect
)

tool github.com/geomys/acvp-testdata/cmd/trim
