# keyward: `make test` is all that a change must pass.
.PHONY: all test deps build helper check unit interop sample vectors policy bench fuzz kill integrity tamper verify clock upgrade release-data rotation-data rotations abuse overload syscalls diskfull crash unit-erasing memory scan-memory scan-matrix refuse alarms model

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2

all: test

# Everything is compiled as it is released, but for what the race detector looks at: static,
# reproducible, and erasing secrets that nobody uses any more (docs/design/memory.md says how).
# Nothing is compiled twice then, and what is tested is what is released.
export CGO_ENABLED = 0
export GOEXPERIMENT = runtimesecret
export GOFLAGS = -trimpath
ERASE_LDFLAGS = -X runtime.godebugDefault=clobberfree=1

# The release binary.
build:
	go build -ldflags="-s -w $(ERASE_LDFLAGS)" -o bin/keyward ./cmd/keyward

# The helper that has the hardware token, for machines that have one: it loads C libraries.
helper:
	CGO_ENABLED=1 go build -ldflags="-s -w" -o bin/keyward-pkcs11 ./cmd/keyward-pkcs11

# Everything that the tests need beside Go.
deps:
	./scripts/deps

test: deps check unit unit-erasing interop sample
	@echo "make test: everything passed"

# What needs no execution.
check:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	go build -o /dev/null ./cmd/keyward
	go vet ./...
	GOEXPERIMENT= go vet ./internal/erase
	CGO_ENABLED=1 go vet ./cmd/keyward-pkcs11 ./internal/hsm/...
	$(STATICCHECK) ./...
	cd interop && go vet ./... && $(STATICCHECK) ./...
	cd vectors && go vet ./... && $(STATICCHECK) ./...

# The race detector looks at everything but SQLite's own code, which is C made into Go and takes
# five times as long under it, the proofs and the scripts of the command line, whose subject is a
# process of its own, some thousands of which start more slowly under it than they run, the
# demonstration, which is one, too, and the two years of alarms, which one goroutine lives through.
# Of the rotations' exploration and simulation it sees a small part.
RACE = CGO_ENABLED=1 GOEXPERIMENT= go test -vet=off -race -gcflags=modernc.org/...=-race=false
unit:
	./scripts/with-postgres env $(RACE) -timeout 12m $$(go list ./... | grep -v -e '/cmd/keyward$$' -e /internal/proof -e /internal/expiry -e '/internal/demo$$')
	./scripts/with-postgres go test -vet=off -timeout 12m ./cmd/keyward ./internal/proof/... ./internal/expiry ./internal/demo
	go test -vet=off -timeout 8m -run 'Exploration|Simulation|EveryRule|NothingIsLeftOut' ./internal/rotation

# The packages that hold key material, as the release build has them.
unit-erasing:
	./scripts/with-postgres go test -vet=off -timeout 8m -ldflags="$(ERASE_LDFLAGS)" ./internal/erase ./internal/material ./internal/seal ./internal/key ./internal/cache

# Alibaba Cloud's own clients against the real binary.
interop:
	cd interop && ../scripts/with-postgres go test -vet=off -timeout 8m ./...

# Wycheproof's and NIST's vectors: all of them below the API, and all that can be sent to a
# server. The sample is what `make test` runs: of the requests to the server a few.
vectors:
	cd vectors && KEYWARD_VECTORS=whole bash -o pipefail -c "go test -count=1 -timeout 20m -v ./... | grep -vE '^=== |^ *--- PASS'"

sample:
	cd vectors && go test -vet=off -timeout 10m ./...

# PAIRS random pairs of policies and request, against the reference evaluator.
PAIRS ?= 10000000
policy:
	KEYWARD_PAIRS=$(PAIRS) go test -count=1 -run '^TestAgreesWithReference$$' -timeout 0 -v ./internal/authz

# The tables of docs/performance.md: ratios to limits in the same run. KEYS that others
# issued, over ACCOUNTS of a simulated provider, whose rate limits are waited for; AGENTS that
# are connected, each with two open files on this machine; ROTATIONS that are due at once; FILES that
# are searched for leaked keys (needs ripgrep).
bench: KEYS = 4000
bench: ACCOUNTS = 32
AGENTS ?= 500
ROTATIONS ?= 200
FILES ?= 40000
bench:
	go run ./internal/bench
	go run ./internal/bench -inventory $(KEYS) -accounts $(ACCOUNTS)
	go run ./internal/bench -agents $(AGENTS)
	go run ./internal/bench -rotations $(ROTATIONS)
	go run ./internal/bench -files $(FILES)

# Every fuzz target for FUZZTIME each (default 30s).
FUZZTIME ?= 30s
fuzz:
	./scripts/fuzz $(FUZZTIME)

# The campaigns of internal/proof. Each prints its figure and its seed (KEYWARD_SEED=… repeats
# it); a short run of each is in `make test`.
PROOF = ./scripts/with-postgres go test -count=1 -timeout 0 -v ./internal/proof

# kill -9 under load: KILLS kills of the server on SQLite, a tenth as many on PostgreSQL,
# and as many again of PostgreSQL itself.
KILLS ?= 5000
kill:
	KEYWARD_KILLS=$(KILLS) $(PROOF) -run '^TestKill(On|Postgres)'

# Bits of the database flipped, rows edited, swapped, transplanted, deleted and put back:
# never a silent wrong answer. KEYWARD_SEED=N repeats a run.
FLIPS ?= 100000
SWAPS ?= 10000
integrity:
	KEYWARD_FLIPS=$(FLIPS) KEYWARD_SWAPS=$(SWAPS) go test -count=1 -run TestIntegrity -timeout 0 -v ./internal/proof
# TAMPERINGS of databases, exports and tiles, and ten times as many forged proofs, tiles
# and submissions to a witness (a short run is in `make test`). SEED repeats a run.
TAMPERINGS ?= 10000
SEED ?=
tamper:
	KEYWARD_TAMPERINGS=$(TAMPERINGS) KEYWARD_SEED=$(SEED) go test -count=1 -run '^TestTampering$$' -timeout 0 -v ./cmd/keyward
	KEYWARD_FORGERIES=$(TAMPERINGS)0 KEYWARD_SEED=$(SEED) go test -count=1 -run '^TestForgedProofs$$' -timeout 0 -v ./internal/proof

# How long `keyward audit verify` takes on one core over an SQLite database with ENTRIES
# records, over its export and over its tiles.
ENTRIES ?= 1000000
verify:
	KEYWARD_ENTRIES=$(ENTRIES) go test -count=1 -run '^TestVerificationTime$$' -timeout 0 -v ./internal/proof
# SCRIPTS scripts of clock jumps (a short run is in `make test`). KEYWARD_SEED repeats one.
SCRIPTS ?= 1000
clock:
	KEYWARD_SCRIPTS=$(SCRIPTS) go test -count=1 -run TestClockScripts -timeout 0 -v ./internal/proof

# Two years with EXPIRIES keys, on servers of a thousand: every alarm is sent once, in time
# (`unit` has four keys). Then kill -9 while alarms leave, in ROUNDS rounds of 3 kills and 12
# alarms. KEYWARD_SEED repeats a run.
EXPIRIES ?= 10000
ROUNDS ?= 30
alarms:
	KEYWARD_EXPIRIES=$(EXPIRIES) go test -count=1 -run '^TestTwoYears$$' -timeout 0 -v ./internal/expiry
	KEYWARD_ALARM_ROUNDS=$(ROUNDS) go test -count=1 -run '^TestKillWhileAlarming$$' -timeout 0 -v ./internal/proof

# The protocol of rotations in larger worlds than `unit` explores, and LIVES lives of it.
# KEYWARD_SEED repeats one.
LIVES ?= 200000
model:
	KEYWARD_MODEL=large go test -count=1 -run '^TestExploration$$' -timeout 0 -v ./internal/rotation
	KEYWARD_LIVES=$(LIVES) go test -count=1 -run '^TestSimulation$$' -timeout 0 -v ./internal/rotation

# ROTATIONS rotations under way on SQLite, and as many on PostgreSQL, while the server and the
# agents are killed and the payment platform loses answers. KEYWARD_SEED chooses the faults.
ROTATIONS ?= 200
rotations:
	KEYWARD_ROTATIONS=$(ROTATIONS) $(PROOF) -run '^TestKillWhileRotating$$'

# The databases of older releases, upgraded with KILLS kills in the middle, and one kill before
# each statement of every migration.
upgrade: KILLS = 500
upgrade:
	KEYWARD_UPGRADES=$(KILLS) ./scripts/with-postgres go test -count=1 -run 'Upgrad' -timeout 0 -v ./internal/proof
	KEYWARD_MIGRATIONS=all ./scripts/with-postgres go test -count=1 -run '^TestKillWhileMigrating$$' -timeout 0 ./internal/store/database

# What this release leaves to all later ones: internal/proof/testdata/releases/$(RELEASE).
release-data:
	./scripts/with-postgres go test -count=1 -run TestMakeRelease -make-release $(RELEASE) ./internal/proof

# What this version of the protocol of rotations leaves to all later ones.
rotation-data:
	go test -count=1 -run '^TestOlderRotationsGoOn$$' ./internal/rotation -update
	./scripts/with-postgres go test -count=1 -run '^TestMakeRotations$$' ./internal/proof -make-rotations

# REQUESTS bad requests over every dialect and route; SEED makes the same ones again.
REQUESTS ?= 1000000
abuse:
	KEYWARD_REQUESTS=$(REQUESTS) KEYWARD_SEED=$(SEED) KEYWARD_PAIRS=100000 KEYWARD_TIMINGS=10000 go test -count=1 -timeout 0 -v ./internal/proof/abuse

# The audit log fails at every step of every operation (`unit` has a fifth of it).
refuse:
	KEYWARD_REFUSALS=all go test -count=1 -run '^TestAuditFailure$$' -timeout 5m -v ./internal/proof/abuse

# SLOW slow clients, and ten times the load that the server can bear, for SECONDS each.
SLOW ?= 10000
SECONDS ?= 60
overload:
	KEYWARD_SLOW=$(SLOW) KEYWARD_SLOW_SECONDS=$(SECONDS) KEYWARD_OVERLOAD_SECONDS=$(SECONDS) go test -count=1 -run 'TestSlow|TestOverload' -timeout 0 -v ./internal/proof

# System calls on the data files fail: POINTS of them, or every one.
POINTS ?= all
syscalls:
	KEYWARD_POINTS=$(POINTS) $(PROOF) -run TestSyscall

# The disk is full for a while under load, RUNS times.
RUNS ?= 100
diskfull:
	KEYWARD_FILLINGS=$(RUNS) $(PROOF) -run TestDiskFull

# Power cuts at POINTS moments of recorded runs.
crash: POINTS = 20000
crash:
	KEYWARD_CRASHES=$(POINTS) $(PROOF) -run 'TestCrash$$'

# Every kind of credential in every notation within every container that holds text (a
# sixtieth of it is in `make test`); about four minutes.
scan-matrix:
	KEYWARD_MATRIX=whole go test -count=1 -run '^TestEvery' -timeout 0 -v ./internal/leak/leaktest | grep -E 'cases|^(---|ok|FAIL)'

# What a scan has resident over hostile files of their full size (small ones are in `make test`).
scan-memory:
	KEYWARD_SCAN=whole $(PROOF) -run 'TestScanMemory$$'

# The search of the server's memory for the secrets of KEYS keys (a short one is in `make test`).
KEYS ?= 1000
memory:
	KEYWARD_MEMORY_KEYS=$(KEYS) go test -count=1 -run 'TestMemory|TestCrashLeaves|TestOthers' -timeout 0 -v ./internal/proof
