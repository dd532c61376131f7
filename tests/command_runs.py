"""How tests run commands in this process, and interrupt them."""

from __future__ import annotations

from sc_bridge import cli

OPTIMISE = """
[optimise]
minimise = "sigma_x*sigma_y"
vary = { kbrqf = [0.6, 0.9] }
max_steps = 4
"""


def run(capsys, *options):
    assert cli.main([str(option) for option in options]) == cli.OK
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refuses(capsys, *options):
    """Expect a refusal, and return its one line."""
    assert cli.main([str(option) for option in options]) == cli.REFUSED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("sc-bridge: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def interrupt_after(monkeypatch, target, calls):
    """Let a function raise KeyboardInterrupt once it has been called so often; count calls."""
    module, name = target.rsplit(".", 1)
    original = getattr(__import__(module, fromlist=[name]), name)
    seen = []

    def counted(*arguments, **options):
        if len(seen) == calls:
            raise KeyboardInterrupt
        seen.append(1)
        return original(*arguments, **options)

    monkeypatch.setattr(target, counted)
    return seen
