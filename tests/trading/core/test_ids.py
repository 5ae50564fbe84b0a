from uuid import UUID, uuid4, uuid5

from trading.core.ids import id_in


def test_an_id_is_a_uuid_of_version_5():
    for name in ("", "ACC 17", "trades AAPL 17-9f3a2c 3", "µ"):
        namespace: UUID = uuid4()
        assert id_in(namespace.bytes, name) == str(uuid5(namespace, name))
