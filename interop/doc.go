// Package interop proves that Alibaba Cloud's official, unmodified clients cannot tell
// keyward from the real service.
//
// It is a module of its own, so that the product does not depend on any client. Its
// tests build the released program, run it as a child process on SQLite and on
// PostgreSQL, and drive it with the Go SDKs, the Node.js SDKs and the wrapper by which
// Vault unseals itself. Whatever a client could notice is checked from outside: results,
// error codes, HTTP statuses, signatures and ciphertexts with other libraries, what is
// still there after a restart, and what becomes of requests that no client would send.
//
// Tests share one server on each database; each test has accounts of its own there, so
// that they run at once and none sees the keys of another. A test that stops, kills or
// configures a server starts its own. The clock is the machine's: what takes days is
// begun by a server whose clock is behind (past_test.go).
//
// Directory tencent is about a simulated cloud instead: it holds the simulator that the
// tests of keyward use against the vendor's own client.
//
// Directory node has the Node.js clients with their lock, and what they do; readme is the
// program that the project's README shows.
package interop
