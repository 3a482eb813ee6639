#!/bin/bash
# Tells the rpm database of a Debian system which libraries it has, so that dnf can check the dependencies of a package:
# libraries.sh PACKAGE.rpm

set -e
cd "$(mktemp -d)"
{
    printf '%s\n' 'Name: libraries' 'Version: 1' 'Release: 1' 'Summary: Libraries of Debian packages' 'License: MIT' \
        'AutoReqProv: no' 'Provides: /bin/sh'
    rpm -qp --requires "$1" | grep -E '^(lib|ld-|rtld)' | sed 's/^/Provides: /'
    printf '%s\n' '%description' 'Libraries of Debian packages.' '%files'
} >libraries.spec
rpmbuild -bb --quiet --define "_topdir $PWD" libraries.spec
rpm -i RPMS/*/libraries-1-1.*.rpm
# Systems with rpm have these directories.
mkdir -p /usr/share/fish/vendor_completions.d /usr/share/licenses /usr/share/zsh/site-functions
