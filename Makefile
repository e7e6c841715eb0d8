# All commands of this project. `make` or `make help` lists them.

NGINX  ?= $(shell command -v nginx || echo /usr/sbin/nginx)
PREFIX ?= /usr
DESTDIR ?=
CARGO  ?= cargo

RELEASE  := target/release
MODULE   := ngx_http_passenger_module.so
COMPLETIONS := bash-completion/completions zsh/vendor-completions fish/vendor_completions.d
# rustc and bindgen find the installed nginx's headers through these two, which headers.sh prints.
HEADERS = eval "$$(ngx-module/build/headers.sh $(NGINX))" && export NGINX_SOURCE_DIR NGINX_BUILD_DIR

.DEFAULT_GOAL := help
.PHONY: help deps build test test-matrix check msrv miri lines demo screenshot bench bench-compare bench-latency bench-scale bench-scheduling bench-record bench-instructions bench-syscalls bench-spawning bench-tools soak fuzz test-sanitizer install deb apt-repo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]*:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

deps: ## install the Debian packages that are missing, for everything below
	@build/deps.sh build check bench
	@integration-tests/frameworks/install.sh

build: ## programs, manual and module, for the installed nginx or NGINX=/path/to/sbin/nginx
	@build/deps.sh build
	$(CARGO) build --release -p flying-passenger -p flying-passenger-generate
	$(RELEASE)/flying-passenger-generate $(RELEASE)
	$(HEADERS) && $(CARGO) build --release -p flying-passenger-ngx-module
	$(RELEASE)/passenger-config build-native-support --if-possible

test: build ## every test, with totals at the end; T=name runs those whose names contain it
	@build/test.sh $(T)

test-matrix: ## the module in several releases of nginx; MATRIX="debian 1.30" names some
	@build/deps.sh build
	@python3 ngx-module/matrix/run.py $(MATRIX)

check: ## format, lints, licences and advisories, scripts
	@build/deps.sh build check
	@build/check.sh

msrv: ## every crate with the Rust that Cargo.toml declares
	@build/deps.sh build
	@build/msrv.sh

miri: ## the tests of protocol in Miri, which finds undefined behaviour
	@build/miri.sh

lines: ## shipped lines and lines of tests, by crate and directory; also written into docs/ARCHITECTURE.md
	@build/lines.py --write && build/lines.py

demo: build ## sample apps behind an nginx of their own, and the main promise step by step; DEMO_ONCE=1 ends after the last step
	@demo/run

screenshot: build ## the picture of the status page in README.md, taken again
	$(CARGO) test --release -p flying-passenger-integration-tests -- --ignored readme_screenshot::

bench: build ## side by side with other servers, and which targets hold (BENCH_SECONDS, BENCH_ROUNDS, UNITD)
	@build/deps.sh bench
	@python3 integration-tests/bench/bench.py

bench-compare: build ## another build (BASE=checkout) and this one: the cost of a request by role and language
	@build/deps.sh bench
	@BASE="$(BASE)" python3 integration-tests/bench/compare.py

bench-latency: build ## latency at half of the greatest load, and beside hostile apps
	@build/deps.sh bench
	@python3 integration-tests/bench/latency.py

bench-scale: build ## the cost of a request with more router threads, connections and apps
	@build/deps.sh bench
	@python3 integration-tests/bench/scale.py

bench-scheduling: build ## the scheduling policies batch and other
	@build/deps.sh bench
	@python3 integration-tests/bench/scheduling.py

bench-record: build ## runs the five above and bench-instructions, and writes what they print into docs/PERFORMANCE.md (NAMES, BASE)
	@build/deps.sh bench
	@BASE="$(BASE)" python3 integration-tests/bench/record.py $(NAMES)

bench-instructions: build ## instructions of nginx's worker per request, beside proxy_pass (BENCH_FUNCTIONS)
	@build/deps.sh bench
	@python3 integration-tests/bench/instructions.py

bench-syscalls: build ## system calls per request, by role
	@build/deps.sh bench
	@python3 integration-tests/bench/syscalls.py

bench-spawning: build ## start times and memory, direct and smart
	@build/deps.sh bench
	@integration-tests/frameworks/install.sh
	@python3 integration-tests/bench/spawning.py

bench-tools: build ## how long the tools take with 200 processes, idle and saturated (BENCH_CALLS)
	@build/deps.sh bench
	@python3 integration-tests/bench/tools.py

test-sanitizer: ## the module's tests with AddressSanitizer in nginx and module
	@ngx-module/matrix/sanitizer.sh

fuzz: ## arbitrary bytes into every decoder, FUZZ_SECONDS each; TARGETS="chunked roster" names some
	@build/fuzz.sh $(TARGETS)

soak: build ## a minute of load on each kind of app (SOAK_SECONDS)
	@SOAK=1 build/test.sh soak

install: ## into $(DESTDIR)$(PREFIX), what `make build` has built
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/nginx/modules
	install -m 755 $(RELEASE)/flying-passenger $(RELEASE)/flying-passenger-gate $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(RELEASE)/passenger $(RELEASE)/passenger-status $(RELEASE)/passenger-config \
		$(RELEASE)/passenger-memory-stats $(DESTDIR)$(PREFIX)/bin/
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in flying-passenger.service flying-passenger.socket flying-passenger-gate.service; do \
		sed 's|/usr/sbin/|$(PREFIX)/sbin/|' daemon/systemd/$$unit \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; done
	install -m 644 daemon/systemd/flying-passenger-fallback.service $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -D -m 644 daemon/systemd/nginx.service.d/flying-passenger.conf \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/nginx.service.d/flying-passenger.conf
	install -d $(DESTDIR)$(PREFIX)/share/doc/flying-passenger/examples/runit/log
	for file in run check log/run; do sed 's|/usr/sbin/|$(PREFIX)/sbin/|' packaging/runit/$$file \
		> $(DESTDIR)$(PREFIX)/share/doc/flying-passenger/examples/runit/$$file && chmod 755 \
		$(DESTDIR)$(PREFIX)/share/doc/flying-passenger/examples/runit/$$file || exit 1; done
	install -m 644 $(RELEASE)/lib$(MODULE) $(DESTDIR)$(PREFIX)/lib/nginx/modules/$(MODULE)
	cd daemon/loaders && find ruby python nodejs -type f ! -name '*.pyc' -exec \
		install -D -m 644 {} $(abspath $(DESTDIR)$(PREFIX))/share/flying-passenger/loaders/{} \;
	[ -n "$(DESTDIR)" ] || $(PREFIX)/bin/passenger-config build-native-support --if-possible
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,man/man8 $(COMPLETIONS))
	install -m 644 $(RELEASE)/man/man8/* $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 $(RELEASE)/completions/bash/* $(DESTDIR)$(PREFIX)/share/bash-completion/completions/
	install -m 644 $(RELEASE)/completions/zsh/* $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/
	install -m 644 $(RELEASE)/completions/fish/* $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/

deb: build ## Debian packages in target/deb, for the installed nginx or that of SUITE="bookworm trixie"
	@build/deps.sh deb
	@packaging/deb/build.sh target/deb $(SUITE)

apt-repo: ## the packages in target/deb as an apt repository in target/apt-repo, signed with APT_KEY=id
	@build/deps.sh repo
	@packaging/deb/repository.sh target/deb target/apt-repo $(APT_KEY)

clean: ## everything that was built
	$(CARGO) clean
