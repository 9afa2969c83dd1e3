"""Compares what the modules render with what is committed, or writes it: golden.py check|write RENDERED.json FOLDER"""

import difflib
import json
import pathlib
import shutil
import sys


def main(verb: str, rendered: str, folder: str) -> int:
    wanted = {
        f"{host}/{path}": text if path != "host.json" else json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
        for host, files in json.loads(pathlib.Path(rendered).read_text()).items()
        for path, text in files.items()
    }
    root = pathlib.Path(folder)
    if verb == "write":
        shutil.rmtree(root, ignore_errors=True)
        for path, text in wanted.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        print(f"{len(wanted)} files written")
        return 0
    found = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    different = sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
    for path in different:
        lines = difflib.unified_diff(
            found.get(path, "").splitlines(), wanted.get(path, "").splitlines(), f"committed {path}", f"rendered {path}", lineterm=""
        )
        print("\n".join(lines))
    print(f"{len(wanted)} files rendered, {len(different)} differ from what is committed")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
