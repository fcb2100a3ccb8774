# Skiff from a terminal: `make run`, `make test`, `make bench`. Everything that is missing is installed first.

CARGO ?= cargo
# Port on this computer for `make run`.
PORT ?= 8080
# Folder that `make run` serves.
SITE ?= examples/site

WEB_TARGET := x86_64-unknown-linux-musl
WEB_FOLDER := target/examples
WEB_SERVER := $(WEB_FOLDER)/$(WEB_TARGET)/release/web-rust
WEB_MANIFEST := --manifest-path examples/web-rust/Cargo.toml --target-dir $(WEB_FOLDER) --locked

.PHONY: help run test bench setup web

help:
	@echo 'make run     boot the example web server; open http://127.0.0.1:$(PORT)/static/ and edit $(SITE)/'
	@echo 'make test    run every test, on this computer and in QEMU'
	@echo 'make bench   measure, and compare with what is to be reached'
	@echo 'make setup   install what is missing; the others do it too'

# Ctrl-C ends the server with SIGTERM (status 143), which is no failure.
run: web
	@echo 'Serving $(SITE): http://127.0.0.1:$(PORT)/static/ (Ctrl-C to stop)'
	@$(CARGO) run --quiet --release --locked -p imagegen -- \
		run $(WEB_SERVER) --mount $(SITE):/static -p $(PORT):8080 || [ $$? -eq 143 ]

test: setup
	@CARGO='$(CARGO)' .ci/test

bench: setup
	$(CARGO) run --quiet --release --locked -p qemu-tests --bin bench

web: setup
	@$(CARGO) build --quiet --release $(WEB_MANIFEST) --target $(WEB_TARGET)

setup:
	@.ci/setup
