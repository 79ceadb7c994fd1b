"""Time the explorer in a browser: from moving a slider to the new lines, and the first page.

    python benchmarks/explorer.py

Needs chromium. For perfect and trained surrogates: milliseconds from a key press on the slider of
samples per dimension until the first point of the chart has another value; median and largest of
MOVES after a first one. Then seconds from the start of the server to the first chart.
"""

import shutil
import socket
import statistics
import subprocess
import sys
import time

from playwright.sync_api import Page, sync_playwright

MOVES = 15
FIRST_POINT = """() => {
  const find = root => {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) { const inner = find(node.shadowRoot); if (inner) return inner; }
      const label = node.getAttribute("aria-label");
      if (label && label.includes("scheme:") && node.tagName === "path") return label;
    }
    return null;
  };
  return find(document);
}"""


def move(page: Page) -> float:
    """Milliseconds from a key press to another value at the first point."""
    slider = page.get_by_role("slider").nth(1)
    slider.focus()
    before = page.evaluate(FIRST_POINT)
    began = time.perf_counter()
    slider.press("ArrowRight")
    page.wait_for_function(
        f"before => {{ const f = {FIRST_POINT}; return f() !== before; }}", arg=before
    )
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    """Print the times."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dataselect", "explore", "--port", str(port)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page()
            page.set_default_timeout(120_000)
            for surrogate in ("perfect", "trained"):
                page.goto(
                    f"http://127.0.0.1:{port}/?surrogate={surrogate}&samples_per_dimension=2.0"
                )
                page.wait_for_function(f"() => {{ const f = {FIRST_POINT}; return f() !== null; }}")
                if surrogate == "perfect":
                    print(f"first page: {time.perf_counter() - began:.1f} s")
                time.sleep(2)
                times = [move(page) for _ in range(MOVES + 1)][1:]
                print(
                    f"{surrogate}: median {statistics.median(times):.0f} ms,"
                    f" largest {max(times):.0f} ms"
                )
            browser.close()
        server.terminate()


if __name__ == "__main__":
    main()
