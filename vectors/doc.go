// Package vectors holds keyward against test vectors that others wrote: Wycheproof's,
// which collect the mistakes that implementations have made, and those of NIST's ACVP.
//
// It is a module of its own, so that the vectors are no dependency of the product. Its
// import path lies below the product's, so it may use internal packages: vectors go
// through keyward's own operations in internal/material, not only through the libraries
// below them. Where an operation derives its keys (material.AEAD), the vector's flaw is
// carried over into a message of keyward's format (aead_test.go). What can be said with
// keys that are imported is also said to the real server over HTTP (api_test.go, import_test.go).
//
// Every file of a suite stands in a table, with the operation that it tests or with the
// reason why it tests none; a file in neither, or in two rows, fails. So does a case whose
// answer differs from its vector without a reason in the table. The figures are in
// docs/conformance.md, whose tables the tests write with -update and compare without.
package vectors
