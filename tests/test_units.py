"""Quantities against the table of upstream's TestQuantityParse, and durations."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedlab.errors import InputError
from schedlab.units import (
    DAY,
    HOUR,
    INT64_MAX,
    MINUTE,
    MS,
    SECOND,
    US,
    amount,
    cpu_milli,
    format_duration,
    format_quantity,
    parse_duration_us,
    parse_quantity,
    quantity_value,
)

# apimachinery/pkg/api/resource/quantity_test.go, TestQuantityParse
UPSTREAM = [
    ("0", "0"),
    ("0n", "0"),
    ("0Ki", "0"),
    ("0M", "0"),
    ("1", "1"),
    ("1Ki", "1024"),
    ("7Mi", 7 * 2**20),
    ("6Gi", 6 * 2**30),
    ("5Ti", 5 * 2**40),
    ("4Pi", 4 * 2**50),
    ("3Ei", 3 * 2**60),
    ("5n", "5e-9"),
    ("4u", "4e-6"),
    ("3m", "3e-3"),
    ("8k", "8000"),
    ("50k", "50000"),
    ("7M", "7e6"),
    ("6G", "6e9"),
    ("5T", "5e12"),
    ("2P", "2e15"),
    ("1E", "1e18"),  # exa ...
    ("1E-3", "1e-3"),  # ... and exponent
    ("1E3", "1000"),
    ("1e3", "1000"),
    ("1E18", "1e18"),
    ("100.035k", "100035"),
    ("0.0005k", "0.5"),
    ("0.00500", "0.005"),
    ("0.5e-2", "0.005"),
    ("1.3E+6", "1300000"),
    ("1.01E", "1.01e18"),
    ("3.001n", "4e-9"),  # below 10**-9 it is rounded up
    ("1.1E-9", "2e-9"),
    ("0.0000000001", "1e-9"),
    ("0.00000012345", "124e-9"),
    ("1e-300", "1e-9"),
    ("12E", "12e18"),
    ("100.035Ki", "102435.84"),
    ("0.5Mi", 2**19),
    ("0.5Ki", "512"),
    ("0.000000000001Ki", "2e-9"),  # 1.024e-9
    (".001", "0.001"),
    (".0001k", "0.1"),
    ("1.", "1"),
    ("1.G", "1e9"),
    ("+5", "5"),
    ("-1.5", "-1.5"),
    ("-3.001n", "-4e-9"),
    ("0e9999", "0"),
]


@pytest.mark.parametrize(("text", "value"), UPSTREAM, ids=[t for t, _ in UPSTREAM])
def test_parses_upstreams_table(text: str, value: str | int) -> None:
    assert parse_quantity(text) == Fraction(Decimal(value))


@pytest.mark.parametrize(
    ("number", "value"),
    [
        pytest.param(3, 3, id="int"),
        pytest.param(0.1, Fraction(1, 10), id="float is its shortest decimal"),
        pytest.param(1000.0, 1000, id="1e3 as YAML reads it"),
        pytest.param(1e21, 10**21, id="float with an exponent"),
    ],
)
def test_parses_numbers(number: float, value: Fraction) -> None:
    assert parse_quantity(number) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 Gi",
        " 1",
        "1\n",
        "1.5.2",
        "0x10",
        "1KI",
        "1ki",
        "1K",
        "1i",
        ".5i",
        "1Kib",
        "1mi",
        "0.1am",
        "1+1.0M",
        "-3.01e-",
        "1e",
        "1e3Ki",
        "1e1.5",
        ".",
        "+",
        "-",
        "--1",
        "m",
        "nan",
        "inf",
        "1,5",
        "\u0663",
        "1" * 101,
        float("nan"),
        float("inf"),
        True,
        None,
        [1],
    ],
    ids=lambda value: repr(value)[:20],
)
def test_rejects_what_is_no_quantity(text: object) -> None:
    with pytest.raises(InputError, match="a quantity such as 500m"):
        parse_quantity(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "milli", "value"),
    [
        # MilliValue and Value round away from zero
        pytest.param("1.5", 1500, 2, id="1.5"),
        pytest.param("100m", 100, 1, id="100m"),
        pytest.param("0.1m", 1, 1, id="less than a milli"),
        pytest.param("1.0001", 1001, 2, id="just above"),
        pytest.param("-1.5", -1500, -2, id="negative"),
        pytest.param("0", 0, 0, id="zero"),
    ],
)
def test_rounds_up(text: str, milli: int, value: int) -> None:
    assert (cpu_milli(text), quantity_value(text)) == (milli, value)


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        pytest.param("memory", "8Ei", id="2**63 bytes"),
        pytest.param("memory", str(2**63), id="2**63"),
        pytest.param("cpu", "9223372036854775.808", id="2**63 milli-cores"),
        pytest.param("cpu", "1e16", id="1e16 cores"),
        pytest.param("memory", "1e400", id="beyond any type"),
    ],
)
def test_overflow_is_an_error(resource: str, text: str) -> None:
    with pytest.raises(InputError, match="fits a 64-bit integer"):
        amount(resource, text)


def test_the_largest_amounts_fit() -> None:
    assert amount("memory", str(INT64_MAX)) == INT64_MAX
    assert amount("cpu", "9223372036854775.807") == INT64_MAX


@pytest.mark.parametrize(
    ("resource", "value", "text"),
    [
        ("cpu", 1500, "1500m"),
        ("cpu", 2000, "2"),
        ("cpu", 0, "0"),
        ("memory", 3 * 2**30, "3Gi"),
        ("memory", 1536 * 2**20, "1536Mi"),
        ("memory", 1000, "1000"),
        ("memory", 0, "0"),
        ("hugepages-2Mi", 2**21, "2Mi"),
        ("ephemeral-storage", 10**10, "9765625Ki"),
        ("pods", 1024, "1024"),
        ("nvidia.com/gpu", 8, "8"),
    ],
)
def test_formats_amounts(resource: str, value: int, text: str) -> None:
    assert format_quantity(resource, value) == text


@given(
    resource=st.sampled_from(["cpu", "memory", "ephemeral-storage", "pods", "nvidia.com/gpu"]),
    value=st.integers(-INT64_MAX, INT64_MAX),
)
def test_what_is_formatted_reads_the_same(resource: str, value: int) -> None:
    assert amount(resource, format_quantity(resource, value)) == value


@given(
    digits=st.integers(0, 10**12),
    exponent=st.integers(-9, 18),
    form=st.sampled_from(["{d}e{e}", "{d}E{e}", "+{d}e{e}", "-{d}e{e}", "{d}.0e{e}"]),
)
def test_exponents_are_exact(digits: int, exponent: int, form: str) -> None:
    text = form.format(d=digits, e=exponent)
    assert parse_quantity(text) == Fraction(Decimal(text))


@given(st.text("0123456789.+-eEinumkKMGTP ", max_size=8))
def test_anything_else_is_an_input_error_or_a_number(text: str) -> None:
    try:
        value = parse_quantity(text)
    except InputError:
        return
    assert (value * 10**9).denominator == 1


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("250ms", 250 * MS),
        ("1.5s", 1_500_000),
        ("10m", 10 * MINUTE),
        ("2h", 2 * HOUR),
        ("1h30m", 90 * MINUTE),
        ("3d", 3 * DAY),
        ("1d2h3m4s5ms6us", DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND + 5 * MS + 6 * US),
        ("7\u00b5s", 7),
        (".5s", 500 * MS),
        ("0", 0),
        ("2", 2 * SECOND),
        ("1e3", 1000 * SECOND),
        ("500ns", 1),  # half up
        ("499ns", 0),
        (2, 2 * SECOND),
        (0.1, 100 * MS),
    ],
)
def test_durations(text: str | float, us: int) -> None:
    assert parse_duration_us(text) == us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "-1s",
        "-1",
        -1,
        -0.5,
        "1x",
        "1h 30m",
        "5 m",
        "1s2",
        "1M",
        "ms5",
        "5mss",
        "nan",
        "inf",
        float("nan"),
        float("inf"),
        True,
        None,
        "1" * 101,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_rejects_what_is_no_duration(text: object) -> None:
    with pytest.raises(InputError, match="a duration >= 0"):
        parse_duration_us(text)  # type: ignore[arg-type]


def test_rejects_a_duration_beyond_int64() -> None:
    with pytest.raises(InputError, match="292,000 years"):
        parse_duration_us("200000000d")


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0s"),
        (250, "250us"),
        (1_500, "1.5ms"),
        (1_500_000, "1.5s"),
        (59_999_999, "59.999s"),
        (MINUTE, "1m"),
        (90 * SECOND, "1m30s"),
        (2 * HOUR + 3 * MINUTE, "2h03m"),
        (DAY, "1d"),
        (149 * DAY + 5 * HOUR, "149d05h"),
        (-1_500_000, "-1.5s"),
    ],
)
def test_formats_durations(us: int, text: str) -> None:
    assert format_duration(us) == text


@given(st.integers(0, 10**15))
def test_a_formatted_duration_is_at_most_a_unit_short(us: int) -> None:
    back = parse_duration_us(format_duration(us))
    # cut, never rounded up: three decimals below a minute, then the next smaller unit
    unit = MS if us < MINUTE else SECOND if us < HOUR else MINUTE if us < DAY else HOUR
    assert 0 <= us - back < unit
