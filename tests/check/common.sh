# Sourced by the checks. Each check is a script that looks at the tree it is started in, prints
# what is wrong and exits nonzero if anything is.
set -euo pipefail
B=${B:-build}
jobs=$(nproc)

# files PATTERN...: the tree's own files, tracked or new, but not what git ignores. Patterns are
# git's; those that are deleted but still in the index are left out.
files() {
    git ls-files -co --exclude-standard -- "$@" | while read -r file; do
        [ ! -e "$file" ] || printf '%s\n' "$file"
    done
}

# Compiler flags and generated headers as the build has them.
compile_flags() {
    make -s --no-print-directory B="$B" gen >&2
    make -s --no-print-directory B="$B" cflags
}
