"""Every case of the Autobahn suite, as kosoku drives it, against the echo server.

    run.py ECHO_SERVER REPORTS

Fails on anything but what is allowed: a bound on the number of a message's frames is right, and a close frame comes
before every end, which the suite itself does not ask for.
"""

import asyncio
import subprocess
import sys

from kosoku import FailureError, run_fuzzingclient
from kosoku._report import write_reports

CASES = 517
# Four MiB in more than 2,048 frames: MESSAGE_FRAMES_MAX of src/limits.rs.
ALLOWED = {"9.3.1", "9.3.2", "9.3.3", "9.4.1", "9.4.2", "9.4.3"}
GOOD = {"OK", "INFORMATIONAL"}
CLOSE_CODES = {1000, 1002, 1007, 1009}
# Whose own close code, or none, is to come back.
ECHOED = ("7.3.1", "7.7.")
# Most cases of sections 12 and 13 wait for each other's thousand messages.
CONCURRENCY = 4


async def drive(address):
    try:
        return await run_fuzzingclient(address, concurrency=CONCURRENCY)
    except FailureError as failure:
        return failure.results


def faults(results):
    """What is wrong, by case."""
    for result in results:
        verdicts = {result.behavior.value, result.behavior_close.value}
        code = result.remote_close_code
        if result.case_id in ALLOWED:
            if code != 1009:
                yield f"{result.case_id}: closed with {code}, not 1009"
        elif not verdicts <= GOOD:
            yield f"{result.case_id}: {', '.join(sorted(verdicts))}: {result.result}; {result.result_close}"
        elif code not in CLOSE_CODES and not result.case_id.startswith(ECHOED):
            yield f"{result.case_id}: the connection ended with the close code {code}"


def main():
    server, reports = sys.argv[1:]
    with subprocess.Popen([server, "127.0.0.1:0"], stderr=subprocess.PIPE, text=True) as echo:
        try:
            address = echo.stderr.readline().removeprefix("listening on ").strip()
            results = asyncio.run(drive(f"ws://{address}"))
        finally:
            echo.kill()
    write_reports(results, reports)
    found = list(faults(results))
    if len(results) != CASES:
        found.append(f"{len(results)} cases ran, not {CASES}")
    for fault in found:
        print(fault, file=sys.stderr)
    verdicts = [result.behavior.value for result in results]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in sorted(set(verdicts)))
    print(f"{len(results)} cases: {counts}; {len(found)} faults; reports in {reports}")
    sys.exit(bool(found))


main()
