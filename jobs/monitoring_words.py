"""The newest figures of monitoring in a few words, for one screen."""

from typing import Any

from pima.core.watched import State
from pima.core.wording import counted


def monitoring(figures: list[dict[str, Any]]) -> str:
    """What alarms, or that nothing does; and how many predictions should come true."""
    alarms = [_alarm(each) for each in figures if each["state"] == State.ALERT]
    compared = [each for each in figures if each["allowed"] is not None]
    told = f"ALERT: {', '.join(alarms)}" if alarms else f"no alert in {counted(len(compared), 'figure')}"
    return "; ".join(filter(None, (told, _too_few(figures), _estimate(figures))))


def _alarm(figure: dict[str, Any]) -> str:
    about = f"{figure['figure'].replace('_', ' ')} {figure['feature']}".strip()
    return f"{about} {figure['value']:.3g} ({figure['reference']:.3g} \u00b1 {figure['allowed']:.3g} is usual)"


def _too_few(figures: list[dict[str, Any]]) -> str:
    few = sum(each["state"] == State.INSUFFICIENT_DATA for each in figures)
    return f"{few} rest on too few rows" if few else ""


def _estimate(figures: list[dict[str, Any]]) -> str:
    for each in figures:
        if each["figure"] == "estimated_accuracy" and each["value"] is not None:
            return f"estimated accuracy {each['value']:.1%} ({each['low']:.0%} to {each['high']:.0%})"
    return ""
