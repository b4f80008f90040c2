"""Wire: what a JSON record says, however deep it is nested."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], value: bytes | msgspec.Raw) -> T:
    """What the decoder makes of the bytes; msgspec.DecodeError where they are not what it reads.

    A thousand brackets in a row, even in a field that nobody knows, end the decoder in a RecursionError,
    broken text in a UnicodeDecodeError: a service that expects errors of the bytes would end on it, be
    started again, and meet the same record.
    """
    try:
        return decoder.decode(value)
    except RecursionError as error:
        raise msgspec.DecodeError("JSON is nested too deep") from error
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"JSON is not UTF-8: {error}") from error
