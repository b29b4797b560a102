# Every target is one small script in tools/. PG_CONFIG chooses the PostgreSQL (Debian's 15 by default).

.DEFAULT_GOAL := help
.PHONY: help demo psql stop test installcheck install package bench setup clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: ## install what is missing, build, run the demo on a private server
	@tools/demo.sh

psql: ## psql on the demo's database
	@tools/cluster.sh psql demo

stop: ## stop every private server of this clone
	@tools/cluster.sh stop

test: ## every test; STAGES="fmt clippy core pg15 pgspot demo docs pg14 ..." chooses
	@tools/test.sh $(STAGES)

installcheck: setup ## SQL suites and isolation specs with PG_CONFIG; TESTS="a b" chooses, ACCEPT=1 accepts
	@tools/installcheck.sh $(TESTS)

install: setup ## install the release build into the PostgreSQL of PG_CONFIG
	@tools/install.sh

package: setup ## a tarball of the release build
	@tools/package.sh

bench: setup ## the benchmark beside other engines; SUITE=ingest, sync, segments, insight, identity or expressions chooses another; SCALE=100k, 1M, 10M
	@tools/bench.sh

setup: ## install what building needs and is missing
	@tools/setup-debian.sh build
	@tools/setup-rust.sh

clean: ## stop the servers, delete everything that was built
	@tools/clean.sh
