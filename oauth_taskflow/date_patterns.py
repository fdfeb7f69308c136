"""The texts that are dates, as patterns."""

from __future__ import annotations

import re

_OFFSET = r"[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?"
_ISO_ZONE = rf"(Z|z|UTC|GMT|{_OFFSET})"
# RFC 9110 §5.6.7, RFC 5322 §3.3 and the zones of North America of its §4.3.
_HTTP_ZONE = rf"(Z|UTC?|GMT|[ECMP][SD]T|{_OFFSET})"
_DAY_NAME = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH_NAME = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
MONTHS = {name[:3]: number for number, name in enumerate(_MONTH_NAME.split("|"), start=1)}
ISO = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)"
    rf"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{{1,9}})\d*)?)?\s?{_ISO_ZONE}?)?",
    re.ASCII,
)
"""RFC 3339, ISO 8601 and what resembles them: a blank for T, a comma, up to nanoseconds, slashes, no zone."""
SORTABLE = re.compile(
    r"\d{4}-(?:0\d|1[0-2])-(?:[0-2]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-6]\d(?:\.\d{1,9})?Z"
)
"""Texts that, of equal length, sort chronologically."""
BASIC = re.compile(
    r"((?:19|20)\d\d)(\d\d)(\d\d)"
    rf"(?:[Tt ]?(\d\d)(\d\d)(?:(\d\d)(?:[.,](\d{{1,9}})\d*)?)?\s?{_ISO_ZONE}?)?",
    re.ASCII,
)
"""ISO 8601 without separators."""
HTTP = re.compile(
    rf"(?:{_DAY_NAME},?\s*)?(\d\d?)[ -]({_MONTH_NAME})[ -](\d{{4}}|\d\d)"
    rf"\s+(\d\d):(\d\d)(?::(\d\d))?\s*{_HTTP_ZONE}",
    re.ASCII | re.IGNORECASE,
)
HTTP_ASCTIME = re.compile(
    rf"{_DAY_NAME}\s+({_MONTH_NAME})\s+(\d\d?)\s+(\d\d):(\d\d):(\d\d)\s+(?:({_OFFSET})\s+)?(\d{{4}})",
    re.ASCII | re.IGNORECASE,
)
NAMED_MONTH = re.compile(
    rf"(?:{_DAY_NAME},?\s*)?"
    rf"(?:(?P<day1>\d\d?)(?:st|nd|rd|th)?[ -](?P<month1>{_MONTH_NAME})\.?,?[ -]"
    rf"|(?P<month2>{_MONTH_NAME})\.?\s(?P<day2>\d\d?)(?:st|nd|rd|th)?,?\s)"
    r"(?P<year>\d{4})"
    r"(?:,?\s(?:at\s)?(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?:\s?(?P<half>[ap])\.?m\.?)?"
    rf"(?:\s?(?P<offset>Z|UTC|GMT|{_OFFSET}))?)?",
    re.ASCII | re.IGNORECASE,
)
"""A date whose month is a word, so that day and month cannot be mistaken."""
DOTNET = re.compile(rf"\\?/Date\((-?\d{{1,16}})(?:{_OFFSET})?\)\\?/", re.ASCII)
"""Microsoft's JSON dates: milliseconds of UTC, and the zone they were shown in."""
NUMBER = re.compile(r"-?\d{1,60}(?:\.\d{1,60})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
NAMED_ZONES = re.compile(r"\b(?:UTC|GMT)\b", re.IGNORECASE)
ZERO_DATE = re.compile(r"\s*(?:0000-00-00(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?)?\s*", re.ASCII)
