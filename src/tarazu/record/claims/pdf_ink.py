"""Which text of a PDF page is drawn so that no reader sees it, as far as its own operators tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

_SHOW: Final = frozenset((b"Tj", b"TJ", b"'", b'"'))
_NUMBER_OF: Final = {"/DeviceGray": 1, "/CalGray": 1, "/DeviceRGB": 3, "/CalRGB": 3, "/DeviceCMYK": 4}
_WHITE: Final = 0.97
_FAINT: Final = 0.1


@dataclass(frozen=True)
class _State:
    """The part of the graphics state that decides whether text is seen."""

    mode: int = 0
    white: bool = False
    space: str = "/DeviceGray"
    alpha: float = 1.0
    width: float = 100.0


def hidden_layers(reader: Any) -> frozenset[int]:
    """The object numbers of the optional content groups that a reader does not see at first."""
    properties = reader.trailer["/Root"].get("/OCProperties")
    if properties is None:
        return frozenset()
    properties = properties.get_object()
    default = properties.get("/D", {})
    default = default.get_object() if hasattr(default, "get_object") else default
    groups = {one.idnum for one in properties.get("/OCGs", []) if hasattr(one, "idnum")}
    off = {one.idnum for one in default.get("/OFF", []) if hasattr(one, "idnum")}
    on = {one.idnum for one in default.get("/ON", []) if hasattr(one, "idnum")}
    return frozenset(groups - on if default.get("/BaseState") == "/OFF" else off)


class Ink:
    """Follows a page's operators while pypdf extracts its text.

    `flush` says why a reader does not see the text since the last call; empty if nothing speaks against it.
    """

    def __init__(self, page: Any, hidden: frozenset[int]) -> None:
        self._hidden = hidden
        self._resources = _object(page.get("/Resources", {}))
        media, crop = page.mediabox, page.cropbox
        self._box = tuple(
            pick(float(media[place]), float(crop[place])) for place, pick in enumerate((max, max, min, min))
        )
        self._state = _State()
        self._saved: list[_State] = []
        self._layers: list[bool] = []
        self._forms = 0
        self._shown = self._showing = ""
        self._flushed = False

    def flush(self) -> str:
        self._flushed = True
        return self._shown or self._showing

    def before(self, operator: Any, operands: Any, matrix: Any, text_matrix: Any) -> None:
        if operator == b"Do":
            self._forms += 1
        elif operator in _SHOW:
            self._showing = self._reason(matrix, text_matrix)
        else:
            self._follow(operator, operands)

    def after(self, operator: Any, operands: Any, matrix: Any, text_matrix: Any) -> None:
        if self._flushed:
            self._shown, self._flushed = "", False
        if operator == b"Do":
            self._forms -= 1
        elif operator in _SHOW:
            # pypdf may keep what it shows until a later operator.
            self._shown, self._showing = self._shown or self._showing, ""

    def _reason(self, matrix: Any, text_matrix: Any) -> str:
        state = self._state
        if state.mode in (3, 7):
            return "text that is not drawn (render mode 3)"
        if any(self._layers):
            return "a layer that is not shown"
        if state.white:
            return "white letters"
        if state.alpha < _FAINT:
            return "transparent letters"
        if abs(state.width) < 10:
            return "letters without width"
        x = text_matrix[4] * matrix[0] + text_matrix[5] * matrix[2] + matrix[4]
        y = text_matrix[4] * matrix[1] + text_matrix[5] * matrix[3] + matrix[5]
        left, bottom, right, top = self._box
        if not self._forms and not (left - 1 <= x <= right + 1 and bottom - 1 <= y <= top + 1):
            return "a place off the page"
        return ""

    def _follow(self, operator: Any, operands: Any) -> None:
        state = self._state
        if operator == b"q":
            self._saved.append(state)
        elif operator == b"Q" and self._saved:
            self._state = self._saved.pop()
        elif operator == b"Tr" and operands:
            self._state = replace(state, mode=int(operands[0]))
        elif operator == b"Tz" and operands:
            self._state = replace(state, width=float(operands[0]))
        elif operator in (b"g", b"rg", b"k"):
            self._state = replace(state, white=_is_white(operands, len(operands)))
        elif operator == b"cs" and operands:
            self._state = replace(state, space=str(operands[0]), white=False)
        elif operator in (b"sc", b"scn"):
            self._state = replace(state, white=_is_white(operands, self._components(state.space)))
        elif operator == b"gs" and operands:
            entry = self._named("/ExtGState", operands[0])
            self._state = replace(state, alpha=float(entry.get("/ca", state.alpha))) if entry else state
        elif operator in (b"BDC", b"BMC"):
            self._layers.append(operator == b"BDC" and len(operands) > 1 and self._is_hidden(operands))
        elif operator == b"EMC" and self._layers:
            self._layers.pop()

    def _is_hidden(self, operands: Any) -> bool:
        if operands[0] != "/OC" or not isinstance(operands[1], str):
            return False
        properties = _object(self._resources.get("/Properties", {}))
        reference = properties.raw_get(operands[1]) if operands[1] in properties else None
        groups = _object(_object(reference).get("/OCGs")) if reference is not None else None
        members = [reference, *([groups] if not isinstance(groups, list) else groups)]
        return any(getattr(one, "idnum", None) in self._hidden for one in members)

    def _components(self, space: str) -> int:
        """The number of a colour space's components, 0 if white has no known values in it."""
        if space in _NUMBER_OF:
            return _NUMBER_OF[space]
        entry = self._named("/ColorSpace", space)
        if isinstance(entry, list) and entry:
            if entry[0] == "/ICCBased" and len(entry) > 1:
                return int(_object(entry[1]).get("/N", 0))
            return _NUMBER_OF.get(str(entry[0]), 0)
        return 0

    def _named(self, kind: str, name: Any) -> Any:
        return _object(_object(self._resources.get(kind, {})).get(name))


def _is_white(operands: Any, components: int) -> bool:
    try:
        values = [float(one) for one in operands]
    except (TypeError, ValueError):
        return False  # a pattern
    if not values or len(values) != components:
        return False
    return all(value <= 1 - _WHITE for value in values) if components == 4 else all(value >= _WHITE for value in values)


def _object(value: Any) -> Any:
    value = value.get_object() if hasattr(value, "get_object") else value
    return {} if value is None else value
