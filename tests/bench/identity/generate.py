"""Identifiers of people and the edges between those seen together: the same arrays for the same scale, on every machine.

A person has 1 to 12 identifiers, 4 on average. Half of them hang in chains, the others on any identifier the person had before; three edges
in ten are seen again. One identifier in a hundred belongs to a chain of 50 to 200. One in 200,000 (at least 3) is a device in a public place
that 500 to 5,000 people have touched, and one person in 500 has once been seen together with another one. Numbers of identifiers and the
order of edges are shuffled, and so are the ends of each edge.
"""

import numpy

KINDS = ["cookie", "device", "email", "phone", "user_id", "openid", "unionid"]
COOKIE, DEVICE = 0, 1
NOBODY = 0  # the owner of a device in a public place; people count from 1
# The share of people with k identifiers falls by this factor from k to k + 1: 4.0 on average.
FALL = 0.789


def graph(scale):
    """{kind, owner}: of identifier 1, 2, …; {a, b}: edges; chains: how many."""
    rng = numpy.random.Generator(numpy.random.PCG64(20171201))
    hubs = max(3, scale // 200_000)
    in_chains = scale // 100
    # Sizes of people: ordinary ones, then chains; the last of each is cut so that the sums are exact.
    ordinary = scale - hubs - in_chains
    share = FALL ** numpy.arange(12)
    sizes = up_to(ordinary, 1 + rng.choice(12, size=ordinary // 3, p=share / share.sum()))
    chains = up_to(in_chains, rng.integers(50, 201, size=in_chains // 50 + 1))
    sizes = numpy.concatenate([sizes, chains])
    people = len(sizes)
    owner = numpy.repeat(numpy.arange(1, people + 1, dtype=numpy.int32), sizes)
    begin = numpy.concatenate([[0], numpy.cumsum(sizes)[:-1]])
    place = numpy.arange(len(owner)) - begin[owner - 1]
    is_chain = owner > people - len(chains)

    # Kinds: the first seven of a person are the seven kinds in an order of its own; then cookies and devices by turns, as along a chain. Two
    # neighbours in that list are never of one kind.
    orders = numpy.array([rng.permutation(7) for _ in range(512)], dtype=numpy.int8)
    order = rng.integers(0, 512, size=people)[owner - 1]
    kind = orders[order, numpy.minimum(place, 6)]
    kind = numpy.where((place > 6) | is_chain, (place + 1) % 2, kind).astype(numpy.int8)

    # Edges within people: each identifier but the first with the one before it or with any earlier one of another kind.
    child = numpy.flatnonzero(place > 0)
    any_before = (rng.random(len(child)) * place[child]).astype(numpy.int64)
    parent = numpy.where((rng.random(len(child)) < 0.5) | is_chain[child], place[child] - 1, any_before) + begin[owner[child] - 1]
    parent = numpy.where(kind[parent] == kind[child], child - 1, parent)
    # The seventh may be what the eighth is.
    same = kind[parent] == kind[child]
    parent[same] = begin[owner[child[same]] - 1]
    a, b = [parent], [child]
    again = rng.integers(0, len(child), size=3 * scale // 10)
    a.append(parent[again])
    b.append(child[again])
    # Devices in public places.
    hub = numpy.arange(len(owner), len(owner) + hubs)
    owner = numpy.concatenate([owner, numpy.full(hubs, NOBODY, dtype=numpy.int32)])
    kind = numpy.concatenate([kind, numpy.full(hubs, DEVICE, dtype=numpy.int8)])
    most = min(5000, people // 2)
    for h in hub:
        visitors = rng.choice(people - len(chains), size=rng.integers(min(500, most // 2), most + 1), replace=False)
        touched = begin[visitors]
        touched = numpy.where(kind[touched] == DEVICE, touched + 1, touched)
        touched = touched[owner[touched] == visitors + 1]
        a.append(touched)
        b.append(numpy.full(len(touched), h))
    # People seen together.
    left, right = rng.integers(0, people - len(chains), size=(2, people // 500))
    left, right = begin[left], begin[right]
    differ = kind[left] != kind[right]
    a.append(left[differ])
    b.append(right[differ])

    number = rng.permutation(scale).astype(numpy.int32) + 1
    a, b = numpy.concatenate(a), numpy.concatenate(b)
    shuffled = rng.permutation(len(a))
    turned = rng.random(len(a)) < 0.5
    a, b = a[shuffled], b[shuffled]
    a, b = numpy.where(turned, b, a), numpy.where(turned, a, b)
    by_number = numpy.argsort(number)
    return {
        "kind": kind[by_number], "owner": owner[by_number], "a": number[a], "b": number[b],
        "kind_a": kind[a], "kind_b": kind[b], "people": people, "hubs": hubs, "chains": len(chains),
    }


def up_to(total, sizes):
    """The first sizes, the last of them cut, that add up to the total."""
    sums = numpy.cumsum(sizes)
    n = int(numpy.searchsorted(sums, total))
    assert n < len(sizes)
    sizes = sizes[: n + 1].copy()
    sizes[n] -= sums[n] - total
    return sizes


def value(kind, number):
    """SQL text of the value of an identifier: of the kind that `kind` computes, with the number that `number` computes."""
    digest = f"md5({number}::text)"
    return (
        f"CASE {kind} WHEN 0 THEN {digest} WHEN 1 THEN upper(substr({digest}, 1, 8) || '-' || substr({digest}, 9, 4) || '-' || substr({digest}, 13, 4)"
        f" || '-' || substr({digest}, 17, 4) || '-' || substr({digest}, 21)) WHEN 2 THEN 'u' || {number} || '@example.com'"
        f" WHEN 3 THEN '13' || lpad({number}::text, 9, '0') WHEN 4 THEN 'U' || lpad({number}::text, 9, '0')"
        f" WHEN 5 THEN 'app1:o' || substr({digest}, 1, 27) ELSE 'un' || substr({digest}, 1, 26) END"
    )
