# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that a machine can check: banned functions, no VLA, lengths of functions and files."""

import re
import sys

import tap

BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|atoi|atol|strtok|localtime|gmtime|rand|srand|gets|alloca"
                    r"|__builtin_alloca)\s*\(")
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
FUNCTION_LINES = 70
FILE_LINES = 600


def code(text):
    """The text with comments and literals blanked, line by line as it was."""
    return NOT_CODE.sub(lambda m: '""' + "\n" * m.group().count("\n"), text)


def banned(path, text):
    for number, line in enumerate(code(text).splitlines(), 1):
        for match in BANNED.finditer(line):
            yield f"{path}:{number}: {match.group(1)}"


def functions(text):
    """(first line, last line) of each function: from its signature to the brace that ends it, both in column 0."""
    lines = code(text).splitlines()
    start = None
    for i, line in enumerate(lines):
        if line.rstrip() == "{":
            start = i
            while start > 0 and re.match(r"[\w ]", lines[start - 1]) and not lines[start - 1].rstrip().endswith(";"):
                start -= 1
        elif line.rstrip() == "}" and start is not None:
            yield start + 1, i + 1
            start = None


def lengths(path, text):
    if text.count("\n") > FILE_LINES:
        yield f"{path} has {text.count(chr(10))} lines"
    for first, last in functions(text):
        if last - first + 1 > FUNCTION_LINES:
            yield f"{path}:{first}: a function of {last - first + 1} lines"


def main():
    root = tap.root()
    files = [p for folder in ("src", "examples") for p in sorted((root / folder).rglob("*.[ch]"))]
    texts = [(p.relative_to(root), p.read_text()) for p in files]
    flags = (root / "meson.build").read_text()
    return tap.report([
        ("no banned function is called", [c for p, t in texts for c in banned(p, t)]),
        ("variable-length arrays are an error",
         [] if "'-Wvla'" in flags and "werror=true" in flags else ["meson.build: -Wvla and werror=true are not both set"]),
        (f"a function has at most {FUNCTION_LINES} lines, a file {FILE_LINES}",
         [c for p, t in texts for c in lengths(p, t)]),
    ])


if __name__ == "__main__":
    sys.exit(main())
