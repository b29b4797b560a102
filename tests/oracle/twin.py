"""The twin of governed identity: everything judged from scratch, edge by edge, by sets that are copied and counted. It is slow and
it is meant to be plainly right.

An identifier is a pair (type, value). Times are seconds. What is known of a graph: when each identifier was first seen, which source saw which two
together with which trust and when, and what operators decided and took back.
"""

NOW = 4_000_000_000  # Later than any row says; what has no time of its own is as of NOW and the step.


class Twin:
    def __init__(self, rules, trust):
        self.change(rules)
        self.trust = trust  # source to hundredths
        self.first_seen = {}
        self.edges = {}  # frozenset of two identifiers: source to [trust, first seen, last seen]
        self.operations = {}  # name to a dictionary: kind, pair, pairs, node, lifted, reverted

    def change(self, rules):
        """New rules: type to its settings."""
        self.rules = rules
        self.places = {name: place for place, name in enumerate(sorted(rules))}

    # --- What is known ---------------------------------------------------------------------------
    def strong(self, x):
        return self.rules[x[0]]["strong"]

    def scope(self, x):
        by = self.rules[x[0]]["scope"]
        return x[1].split(by, 1)[0] if by and by in x[1] else ""

    def rank(self, x):
        return self.places[x[0]], x[1]

    def see(self, source, identifiers, at, step):
        """A row; `at` is None when it says no time. Gives whether it was taken."""
        if not any(self.strong(x) for x in identifiers):
            return False
        for x in identifiers:
            if at is not None:
                self.first_seen[x] = min(self.first_seen.get(x, at), at)
            else:
                self.first_seen.setdefault(x, NOW + step)
        for i, a in enumerate(identifiers):
            for b in identifiers[i + 1:]:
                known = self.edges.setdefault(frozenset((a, b)), {})
                if source not in known:
                    when = NOW + step if at is None else at
                    known[source] = [self.trust[source], when, when]
                elif at is not None:
                    known[source][1] = min(known[source][1], at)
                    known[source][2] = max(known[source][2], at)
        return True

    def holds(self, kind):
        """Operations of a kind that were not taken back."""
        return [o for o in self.operations.values() if o["kind"] == kind and not o["reverted"]]

    def unlinks(self, pair):
        """Operations that say that a pair means nothing: not taken back, and not lifted by a link that holds."""
        lifted = {name for o in self.holds("link") if o["pair"] == pair for name in o["lifted"]}
        return [name for name, o in self.operations.items() if pair in o["pairs"] and not o["reverted"] and name not in lifted]

    def blocked(self, x):
        return any(o["node"] == x for o in self.holds("block"))

    def apart(self):
        """Pairs that may not be one, each with the first operation that says so."""
        said = {}
        for name, o in self.operations.items():
            if o.get("apart") and not o["reverted"]:
                said.setdefault(o["apart"], name)
        return said

    # --- What operators do: gives an error's SQLSTATE, or None ---------------------------------------
    def do(self, name, op, step, number):
        """Does an operation. `number` gives the number of an identifier in the database."""
        kind, args = op[0], op[1:]
        new = {"kind": kind, "pair": None, "pairs": set(), "node": None, "lifted": [], "reverted": False}
        if kind in ("link", "unlink", "cannot_link"):
            a, b = args
            pair = frozenset(args)
            if a not in self.first_seen or b not in self.first_seen:
                return "42704"
            if kind == "link":
                if any(o["pair"] == pair for o in self.holds("link")):
                    return "42710"
                new["pair"], new["lifted"] = pair, self.unlinks(pair)
                self.edges.setdefault(pair, {})["operator"] = [100, NOW + step, NOW + step]
            elif kind == "unlink":
                if self.unlinks(pair):
                    return "42710"
                if not self.edges.get(pair):
                    return "55000"
                new["pairs"] = {pair}
            else:
                if pair in self.apart():
                    return "42710"
                new["apart"] = pair
        elif kind == "block":
            if self.blocked(args[0]):
                return "42710"
            self.first_seen.setdefault(args[0], NOW + step)
            new["node"] = args[0]
        elif kind == "unblock":
            if args[0] not in self.first_seen:
                return "42704"
            if not self.blocked(args[0]):
                return "55000"
            return self.take_back([n for n, o in self.operations.items() if o["node"] == args[0] and not o["reverted"]][0])
        elif kind == "split":
            some = set(args[0])
            if not all(x in self.first_seen for x in some):
                return "42704"
            home = next(c for c in self.judge()["components"] if args[0][0] in c)
            if not some <= home:
                return "55000"
            if some == home:
                return "22023"
            new["pairs"] = {pair for pair, known in self.edges.items() if known and len(pair & some) == 1 and pair <= home}
            telling = [min(side, key=lambda x: (self.rules[x[0]]["priority"], number(x))) for side in (some, home - some)]
            new["apart"] = frozenset(telling)
        elif kind == "revert":
            if args[0] not in self.operations:
                return "42704"
            if self.operations[args[0]]["reverted"]:
                return "55000"
            return self.take_back(args[0])
        self.operations[name] = new
        return None

    def take_back(self, name):
        operation = self.operations[name]
        operation["reverted"] = True
        if operation["kind"] == "link":
            del self.edges[operation["pair"]]["operator"]
        return None

    # --- What follows ---------------------------------------------------------------------------------
    def judge(self):
        strong = [x for x in self.first_seen if self.strong(x)]
        pairs = {p: known for p, known in self.edges.items() if known and all(self.strong(x) for x in p)}
        unlinked = {p for p in pairs if self.unlinks(p)}
        forced = {p for p, known in pairs.items() if "operator" in known}

        # The hub rule: distinct neighbours that rows show, without unlinked ones.
        hubs, quarantined = {}, set()
        for x in strong:
            near = {y for p, known in pairs.items() if x in p and p not in unlinked and set(known) - {"operator"} for y in p - {x}}
            rule = self.rules[x[0]]
            persons = sum(self.rules[y[0]]["person"] for y in near)
            caps = [(rule["degree_cap"], len(near), "neighbours"), (rule["person_cap"], persons, "that name persons")]
            if any(cap is not None and number > cap for cap, number, _ in caps):
                hubs[x] = "hub: more than " + ", or ".join(f"{cap} {what}" for cap, _, what in caps if cap is not None)
            if x in hubs or self.blocked(x):
                quarantined.add(x)

        def order(p):
            known, (a, b) = pairs[p], sorted(p, key=self.rank)
            ra, rb = self.rules[a[0]], self.rules[b[0]]
            stronger, weaker = (rb, ra) if ra["priority"] > rb["priority"] else (ra, rb)
            by_first = weaker["shared"] == "first"
            when = min(t[1] for t in known.values()) if by_first else -max(t[2] for t in known.values())
            return p not in forced, -max(t[0] for t in known.values()), weaker["priority"], by_first, when, stronger["priority"], self.rank(a), self.rank(b)

        aside = set()
        while True:
            part = {x: frozenset([x]) for x in strong}
            states, leave = {}, set()
            for p in sorted(pairs, key=order):
                a, b = sorted(p, key=self.rank)
                if p in unlinked:
                    states[p] = ("suspended", f"unlinked: operation {self.unlinks(p)[0]}")
                elif p not in forced and p & quarantined:
                    states[p] = ("suspended", "quarantined")
                elif p not in forced and p & aside:
                    states[p] = ("suspended", f"shared: {(a if a in aside else b)[0]} is nobody's")
                elif part[a] == part[b]:
                    states[p] = ("accepted", None)
                else:
                    reason = self.refusal(part[a], part[b], p in forced)
                    if reason is None:
                        union = part[a] | part[b]
                        part.update((x, union) for x in union)
                        states[p] = ("accepted", None)
                    else:
                        states[p] = ("suspended", reason)
                        if p not in forced:
                            leave |= {x for x in p if self.rules[x[0]]["shared"] == "nobody"}
            if not leave:
                break
            aside |= leave
        contested = {part[x] for p, (_, why) in states.items() if why and why.startswith(("limit", "cannot", "shared")) for x in p}
        return {"components": set(part.values()), "states": states, "hubs": hubs, "quarantined": quarantined, "contested": contested}

    def refusal(self, one, other, forced):
        """Why two components may not be joined."""
        union = one | other
        said = self.apart()
        broken = [p for p in said if p <= union and not (p <= one or p <= other)]
        if broken:
            return f"cannot link: operation {said[min(broken, key=lambda p: sorted(map(self.rank, p)))]}"
        if forced:
            return None
        for name in sorted(self.rules):
            rule = self.rules[name]
            if rule["limit"] is None or not rule["strong"]:
                continue
            most = 0
            for scope in {self.scope(x) for x in union if x[0] == name}:
                held = sorted((x for x in union if x[0] == name and self.scope(x) == scope), key=self.first_seen.get)
                if rule["window"] is None:
                    spans = [held]
                else:
                    spans = [[y for y in held if 0 <= self.first_seen[y] - self.first_seen[x] < rule["window"]] for x in held]
                # Of the scopes the one with the most, in each the earliest span that has too many.
                found = (len(span) for span in spans if len(span) > rule["limit"] and any(x in one for x in span) and any(x in other for x in span))
                most = max(most, next(found, 0))
            if most > rule["limit"]:
                return f"limit: {most} {name}, at most {rule['limit']}" + (" within its window" if rule["window"] is not None else "")
        return None
