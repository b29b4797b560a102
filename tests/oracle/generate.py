"""Random expressions over the company of oracle.py: each as text of the language and, written independently of the extension, as SQL.

The SQL runs over two tables that hold what the public views give: oracle.person (alias p) and oracle.happened (alias e).
"""
from oracle import CATEGORIES, CITIES, LABELS, TIERS, ZONES, quote

BOOLEAN, BIGINT, NUMERIC, TEXT, DATE, MOMENT, INTERVAL = "boolean", "bigint", "numeric", "text", "date", "timestamptz", "interval"
NUMBERS = (BIGINT, NUMERIC)

# What only can be compared: arithmetic on it may fail.
EXTREME = {"balance", "expiry"}
TRAITS = {
    "city": TEXT, "nick": TEXT, "Tier 级": TEXT, "age": BIGINT, "income": NUMERIC, "ratio": NUMERIC, "balance": BIGINT, "vip": BOOLEAN,
    "birthday": DATE, "expiry": DATE, "joined": MOMENT,
}
PROPERTIES = {
    "purchase": {"amount": NUMERIC, "qty": BIGINT, "category": TEXT, "gift": BOOLEAN, "note": TEXT, "due": DATE, "Unit Price": NUMERIC},
    "view": {"page": TEXT, "ref": TEXT, "category": TEXT, "seconds": BIGINT, "score": NUMERIC, "bot": BOOLEAN, "seen": MOMENT},
}
PROPERTIES["click"] = PROPERTIES["view"]
IDENTIFIERS = ["member_no", "email", "phone", "loyalty_card", "cookie", "device_id"]


class E:
    """An expression: text of the language and SQL, both formats over the same parts. A format without parts is taken as it is."""

    def __init__(self, ty, text, sql=None, parts=(), scope=None):
        self.ty, self.form, self.sql_form, self.parts, self.scope = ty, text, sql if sql is not None else text, list(parts), scope
        # Further ways to make it smaller.
        self.fewer = lambda: ()

    def text(self):
        return self.form.format(*[p.text() for p in self.parts]) if self.parts else self.form

    def sql(self, ctx):
        if callable(self.sql_form):
            return self.sql_form(ctx, [p.sql(ctx) for p in self.parts])
        return self.sql_form.format(*[p.sql(ctx) for p in self.parts]) if self.parts else self.sql_form

    def smaller(self):
        """The same expression with one part left out: a part in the place of the whole, or a condition that says nothing."""
        yield from self.fewer()
        for i, part in enumerate(self.parts):
            for less in part.instead():
                yield E(self.ty, self.form, self.sql_form, self.parts[:i] + [less] + self.parts[i + 1:], self.scope)
            for less in part.smaller():
                yield E(self.ty, self.form, self.sql_form, self.parts[:i] + [less] + self.parts[i + 1:], self.scope)

    def instead(self):
        yield from (p for p in self.parts if p.ty == self.ty and p.scope == self.scope)
        if self.ty == BOOLEAN and self.parts:
            yield E(BOOLEAN, "true", scope=self.scope)

    def inner(self):
        """Every condition about a person inside."""
        for part in self.parts:
            if part.ty == BOOLEAN and part.scope is None:
                yield part
            yield from part.inner()


class Context:
    """What the SQL of an expression depends on: the moment asked about, and the tags and segments there are."""

    def __init__(self, as_of, tags, segments):
        self.as_of, self.tags, self.segments = as_of, tags, segments
        self.now = "now()" if as_of is None else f"{quote(as_of)}::timestamptz"
        self.today = "current_date" if as_of is None else f"{self.now}::date"


def wider(*types):
    return types[0] if len(set(types)) == 1 else NUMERIC


class Generator:
    def __init__(self, rng, time_zone):
        self.rng, self.zone = rng, time_zone
        self.days = list(dict.fromkeys(ZONES.get(time_zone, ["2024-03-31"])))
        self.year = self.days[0][:4]
        self.days += [f"{self.year}-06-15", f"{self.year}-06-16", f"{self.year}-12-31"]
        self.attributes = dict(TRAITS)
        self.tags = {}
        self.segments = {}

    # --- helpers -------------------------------------------------------------------------------
    def pick(self, *weighted):
        """One of (weight, function) pairs, called."""
        total = self.rng.random() * sum(w for w, _ in weighted)
        for weight, make in weighted:
            total -= weight
            if total <= 0:
                return make()
        return weighted[-1][1]()

    def choice(self, *some):
        return self.rng.choice(some)

    def names(self, scope):
        return PROPERTIES[scope] if scope else self.attributes

    def of_type(self, ty, scope, extreme=False):
        return [n for n, t in self.names(scope).items() if t == ty and (extreme or n not in EXTREME)]

    @staticmethod
    def word(name):
        return name if name.isascii() and name.islower() and " " not in name else '"' + name + '"'

    def name(self, name, scope):
        ty = self.names(scope)[name]
        if scope:
            return E(ty, self.word(name), f"(e.properties->>{quote(name)})::{ty}", scope=scope)
        quoted = '"' + name + '"'

        def sql(ctx, _):
            # With an as_of, a tag is what it would have been then.
            if ctx.as_of is not None and name in ctx.tags:
                return f"({ctx.tags[name].sql(ctx)})::{ty}"
            return f"p.{quoted}"
        return E(ty, self.word(name), sql)

    # --- literals ------------------------------------------------------------------------------
    def number(self, small=False):
        if small or self.rng.random() < 0.5:
            n = self.choice(0, 1, 2, 3, 5, 10, -1, -3, 30)
        else:
            n = self.choice(18, 65, 100, 120, 300, 5000, -20, self.rng.randrange(-100, 2000))
        return E(BIGINT, str(n), f"({n})::bigint")

    def decimal(self):
        n = self.choice("0.5", "12.5", "99.99", "100.0", "-12.34", "0.001", "12.345", "1e2", "2.5", ".25", f"{self.rng.randrange(-9999, 99999) / 100}")
        return E(NUMERIC, n, f"({n})::numeric")

    def huge(self):
        """Compared only: beyond what bits hold."""
        n = self.choice("9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e30", "-1e30", "4000000000000000001", "2147483648",
                        "0.0000000000001")
        if n in ("9223372036854775807", "-9223372036854775808", "4000000000000000001", "2147483648"):
            return E(BIGINT, n, f"'{n}'::bigint")
        return E(NUMERIC, n, f"'{n}'::numeric")

    def word_like(self, name=None):
        pool = CATEGORIES if name == "category" else TIERS if name == "Tier 级" else CITIES
        value = self.choice(*pool, "nothing such") if self.rng.random() < 0.9 else self.choice("high", "mid", "Nick", "/p3", "fast", "view")
        return E(TEXT, quote(value), f"{quote(value)}::text")

    def day_text(self):
        return self.choice(*self.days, "2000-01-01", "1999-12-31", "1970-01-01", "2004-02-29", f"{self.year}-{1 + self.rng.randrange(12):02d}-15", "2100-01-01")

    def day(self):
        text = self.day_text()
        return E(DATE, self.choice(f"date '{text}'", f"'{text}'::date"), f"'{text}'::date")

    def moment_literal(self):
        day = self.choice(*self.days) if self.rng.random() < 0.8 else self.day_text()
        clock = self.choice("", "", "", " 00:00:00.000001", " 23:59:59.999999", " 12:00", " 01:00", " 00:30", " 02:00", f" {self.rng.randrange(24):02d}:{self.rng.randrange(60):02d}:17.25",
                            " 03:00:00+00", " 00:00:00+00", " 23:59:59.999999-05:30")
        text = day + clock
        return E(MOMENT, self.choice(f"timestamptz '{text}'", f"'{text}'::timestamptz"), f"'{text}'::timestamptz")

    def interval(self):
        text = self.choice("1 microsecond", "30 days", "7 days", "1 day", "90 days", "1 month", "36 hours", "1 year", "12:34:56.789", "1 mon -1 day", "0 days", "2 weeks", "3 hours")
        return E(INTERVAL, f"interval '{text}'", f"'{text}'::interval")

    def now(self):
        return E(MOMENT, self.choice("now()", "current_timestamp"), lambda ctx, _: ctx.now)

    def edge(self):
        """A moment that is the same for everybody: the bound of a window."""
        return self.pick(
            (6, self.moment_literal),
            (2, lambda: E(MOMENT, "({0} " + (s := self.choice("+", "-")) + " {1})", "({0} " + s + " {1})", [self.moment_literal(), self.interval()])),
            (3, lambda: E(MOMENT, "({0} - {1})", "({0} - {1})", [self.now(), self.interval()])),
            (1, lambda: E(MOMENT, "({0} + {1})", "({0} + {1})", [self.now(), self.interval()])),
            (1, self.now),
            (1, lambda: E(MOMENT, "date_trunc('" + (f := self.choice("month", "day", "week", "hour")) + "', {0})", "date_trunc('" + f + "', {0}::timestamptz)", [self.now()])),
            (1, lambda: E(MOMENT, "{0}::timestamptz", "{0}::timestamptz", [E(DATE, "current_date", lambda ctx, _: ctx.today)])),
        )

    # --- values --------------------------------------------------------------------------------
    def aggregate(self, kinds=None):
        """An aggregate over the events of a person; `kinds`: the types it may have."""
        for _ in range(50):
            event = self.choice("purchase", "purchase", "view", "click")
            function = self.choice("count", "count", "count", "sum", "sum", "min", "max", "avg", "count distinct", "first", "last", "when")
            if function == "when":
                function, over, ty = self.choice("min", "max"), "at", MOMENT
            elif function == "count" and self.rng.random() < 0.7:
                over, ty = None, BIGINT
            else:
                over = self.rng.choice(list(PROPERTIES[event]))
                kind = PROPERTIES[event][over]
                if function in ("sum", "avg"):
                    if kind not in NUMBERS:
                        continue
                    ty = NUMERIC
                elif function in ("count", "count distinct"):
                    ty = BIGINT
                elif function in ("min", "max") and kind == BOOLEAN:
                    continue
                else:
                    ty = kind
            if kinds is None or ty in kinds:
                break
        else:
            event, function, over, ty = "purchase", "count", None, BIGINT
        if over is None:
            said, value = event, "1"
        else:
            said = f"{event}.{'at' if over == 'at' else self.word(over)}"
            value = "e.at" if over == "at" else f"(e.properties->>{quote(over)})::{PROPERTIES[event][over]}"
        if function == "count distinct":
            said, function = "DISTINCT " + said, "count"
            call = f"count(DISTINCT {value})"
        elif function in ("first", "last"):
            call = value
        else:
            call = f"{function}({value})"
        parts = [] if self.rng.random() < 0.25 else [self.filter(event)]
        order = {"first": "ASC", "last": "DESC"}.get(function)

        def sql(ctx, conditions):
            where = f"e.profile_id = p.profile_id AND e.event = '{event}' AND e.at <= {ctx.now}" + "".join(f" AND ({c})" for c in conditions)
            if order:
                where += f" AND {value} IS NOT NULL ORDER BY e.at {order}, e.event_id {order} LIMIT 1"
            return f"(SELECT {call} FROM oracle.happened e WHERE {where})"
        shape = f"{function}({said})".replace("{", "{{").replace("}", "}}") if parts else f"{function}({said})"
        return E(ty, shape + (" FILTER (WHERE {0})" if parts else ""), sql, parts)

    def filter(self, event):
        """A FILTER: mostly what day columns can answer, a window and values of a tracked property, with other conditions between."""
        terms = []
        tracked = [n for n, t in PROPERTIES[event].items() if t in (TEXT, BOOLEAN)]
        if self.rng.random() < 0.75:
            terms += self.window(event)
        if self.rng.random() < 0.45:
            name = self.rng.choice(tracked)
            terms.append(self.values(self.name(name, event), name, event))
        if self.rng.random() < 0.25 or not terms:
            terms.append(self.condition(self.rng.randrange(2), event))
        self.rng.shuffle(terms)
        return terms[0] if len(terms) == 1 else self.joined("AND", terms, event)

    def window(self, event):
        at = E(MOMENT, "at", "e.at", scope=event)

        def bound(op, value):
            if self.rng.random() < 0.3:
                flipped = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}[op]
                return E(BOOLEAN, "{1} " + flipped + " {0}", "{1} " + flipped + " {0}", [at, value], event)
            return E(BOOLEAN, "{0} " + op + " {1}", "{0} " + op + " {1}", [at, value], event)
        kind = self.rng.random()
        if kind < 0.45:
            return [bound(self.choice(">=", ">"), self.edge()), bound(self.choice("<", "<="), self.edge())]
        if kind < 0.65:
            return [bound(self.choice(">=", ">", ">="), self.edge())]
        if kind < 0.8:
            return [bound(self.choice("<", "<="), self.edge())]
        if kind < 0.92:
            return [E(BOOLEAN, "{0} BETWEEN {1} AND {2}", "{0} BETWEEN {1} AND {2}", [at, self.edge(), self.edge()], event)]
        if kind < 0.96:
            return [bound("=", self.edge())]
        # Whole days, also of one day.
        day = self.choice(*self.days)
        literal = E(MOMENT, f"timestamptz '{day}'", f"'{day}'::timestamptz")
        later = E(MOMENT, "({0} + interval '1 day')", "({0} + interval '1 day')", [literal])
        return [bound(">=", literal), bound("<", later)]

    def values(self, x, name, scope):
        """`x = v` or `x IN (…)`."""
        def value():
            if x.ty == BOOLEAN:
                return E(BOOLEAN, b := self.choice("true", "false"), b)
            return self.word_like(name)
        if self.rng.random() < 0.5:
            parts = [x, value()]
            if self.rng.random() < 0.3:
                return E(BOOLEAN, "{1} = {0}", "{1} = {0}", parts, scope)
            return E(BOOLEAN, "{0} = {1}", "{0} = {1}", parts, scope)
        return self.listed(x, [value() for _ in range(1 + self.rng.randrange(3))], scope, negated=self.rng.random() < 0.15)

    def listed(self, x, some, scope, negated):
        if self.rng.random() < 0.15:
            some.append(E(x.ty, "NULL", "NULL"))
        word = " NOT IN (" if negated else " IN ("
        shape = "{0}" + word + ", ".join("{%d}" % (i + 1) for i in range(len(some))) + ")"
        return E(BOOLEAN, shape, shape, [x, *some], scope)

    def value(self, ty, depth, scope=None):
        """An expression of a type (`bigint` where numbers of either type will do: look at `ty` of the result)."""
        if ty in NUMBERS:
            return self.numeric(depth, scope)
        if ty == TEXT:
            return self.textual(depth, scope)
        if ty == DATE:
            return self.daily(depth, scope)
        if ty == MOMENT:
            return self.momentary(depth, scope)
        if ty == INTERVAL:
            return self.lasting(depth, scope)
        return self.condition(depth, scope)

    def own(self, kinds, scope, literal):
        """An attribute or property of one of the types."""
        names = [n for ty in kinds for n in self.of_type(ty, scope)]
        return self.name(self.rng.choice(names), scope) if names else literal()

    def either(self, ty, depth, scope, literal):
        """What every type has: coalesce, nullif, least, greatest, CASE."""
        make = lambda: self.value(ty, depth - 1, scope)

        def call():
            word = self.choice("coalesce", "coalesce", "least", "greatest")
            some = [make(), literal() if self.rng.random() < 0.7 else make()]
            if self.rng.random() < 0.2:
                some.insert(1, make())
            kind = wider(*[s.ty for s in some])
            return E(kind, word + "(" + ", ".join("{%d}" % i for i in range(len(some))) + ")",
                     word + "(" + ", ".join("{%d}::%s" % (i, kind) for i in range(len(some))) + ")", some, scope)

        def nullif():
            a, b = make(), literal()
            kind = NUMERIC if NUMERIC in (a.ty, b.ty) and a.ty == BIGINT else a.ty
            return E(kind, "nullif({0}, {1})", "nullif({0}::%s, {1})" % kind, [a, b], scope)

        def case():
            some, text, sql = [], "CASE", "CASE"
            results = []
            if self.rng.random() < 0.25:
                subject = self.own([TEXT], scope, self.word_like)
                some.append(subject)
                text, sql = text + " {0}", sql + " {0}"
                conditions = [self.word_like(self.choice("city", "category", "Tier 级")) for _ in range(1 + self.rng.randrange(2))]
            else:
                conditions = [self.condition(depth - 1, scope) for _ in range(1 + self.rng.randrange(2))]
            branches = [(c, make() if self.rng.random() < 0.5 else literal()) for c in conditions]
            otherwise = None if self.rng.random() < 0.3 else (make() if self.rng.random() < 0.4 else literal())
            results = [r for _, r in branches] + ([otherwise] if otherwise else [])
            kind = wider(*[r.ty for r in results])
            for c, r in branches:
                text += " WHEN {%d} THEN {%d}" % (len(some), len(some) + 1)
                sql += " WHEN {%d} THEN {%d}::%s" % (len(some), len(some) + 1, kind)
                some += [c, r]
            if otherwise:
                text += " ELSE {%d}" % len(some)
                sql += " ELSE {%d}::%s" % (len(some), kind)
                some.append(otherwise)
            return E(kind, text + " END", sql + " END", some, scope)
        return self.pick((3, call), (1, nullif), (3, case))

    def numeric(self, depth, scope):
        literal = lambda: self.number() if self.rng.random() < 0.6 else self.decimal()
        own = lambda: self.own(NUMBERS, scope, literal)
        if depth <= 0:
            options = [(6, own), (1, literal)]
            if not scope:
                options.append((6, lambda: self.aggregate(NUMBERS)))
            return self.pick(*options)
        make = lambda: self.numeric(depth - 1, scope)

        def arithmetic():
            op = self.choice("+", "-", "*")
            a, b = make(), make() if self.rng.random() < 0.5 and op != "*" else self.number(small=True)
            if self.rng.random() < 0.3:
                a, b = b, a
            return E(wider(a.ty, b.ty), "({0} " + op + " {1})", "({0} " + op + " {1})", [a, b], scope)

        def division():
            a = make()
            kind = self.rng.random()
            if kind < 0.4:
                n = self.choice("2", "3", "7", "-4", "0.5")
                b = E(NUMERIC if "." in n else BIGINT, n, f"({n})::{'numeric' if '.' in n else 'bigint'}")
                return E(wider(a.ty, b.ty), "({0} / {1})", "({0} / {1})", [a, b], scope)
            b = make()
            if kind < 0.7:
                return E(wider(a.ty, b.ty), "({0} / nullif({1}, 0))", "({0} / nullif({1}, 0))", [a, b], scope)
            ty = wider(a.ty, b.ty)
            return E(ty, "CASE WHEN {1} <> 0 THEN {0} / {1} END", "CASE WHEN {1} <> 0 THEN {0} / {1} END", [a, b], scope)

        def call():
            x = make()
            word = self.choice("abs", "round", "round2", "-", "cast")
            if word == "abs":
                return E(x.ty, "abs({0})", "abs({0})", [x], scope)
            if word == "round":
                return E(NUMERIC, "round({0})", "round({0}::numeric)", [x], scope)
            if word == "round2":
                n = self.choice(0, 1, 2, -1)
                return E(NUMERIC, "round({0}, %d)" % n, "round({0}::numeric, %d)" % n, [x], scope)
            if word == "cast":
                return E(NUMERIC, "{0}::numeric" if not x.parts else "({0})::numeric", "({0})::numeric", [x], scope)
            return E(x.ty, "(- {0})", "(- {0})", [x], scope)

        def extracted():
            x = self.value(self.choice(DATE, MOMENT, INTERVAL), depth - 1, scope)
            whole = ["dow", "doy", "isodow"] if x.ty != INTERVAL else []
            field = self.choice("year", "month", "day", "quarter", "epoch", *whole, *(["hour", "minute"] if x.ty != DATE else []))
            return E(NUMERIC, "extract(" + field + " FROM {0})", "extract(" + field + " FROM {0})", [x], scope)

        def anniversary():
            # Day after day from today, until one is called the same.
            def sql(ctx, parts):
                return (f"(SELECT min(n) FROM generate_series(0, 366) n WHERE to_char({parts[0]}::date, 'MM-DD') IN (to_char({ctx.today} + n, 'MM-DD'), "
                        f"CASE WHEN to_char({ctx.today} + n, 'MM-DD') = '02-28' AND to_char({ctx.today} + n + 1, 'MM-DD') = '03-01' THEN '02-29' END))::bigint")
            return E(BIGINT, "days_to_anniversary({0})", sql, [self.own([self.choice(DATE, MOMENT)], scope, self.day)], scope)

        def days():
            return E(BIGINT, "({0} - {1})", "({0} - {1})::bigint", [self.daily(0, scope), self.day()], scope)
        return self.pick((4, own), (4 if not scope else 0, lambda: self.aggregate(NUMBERS)), (3, arithmetic), (2, division), (2, call),
                         (2, lambda: self.either(BIGINT, depth, scope, literal)), (1, extracted), (1, days), (0.4, anniversary))

    def textual(self, depth, scope):
        own = lambda: self.own([TEXT], scope, self.word_like)
        if depth <= 0:
            return self.pick((6, own), (1 if not scope else 0, lambda: self.aggregate([TEXT])))
        make = lambda: self.textual(depth - 1, scope)
        cast = lambda: (lambda x: E(TEXT, "({0})::text", "({0})::text", [x], scope))(self.own([BIGINT, NUMERIC, BOOLEAN, DATE], scope, self.number))
        return self.pick((5, own), (2, lambda: E(TEXT, (w := self.choice("lower", "upper")) + "({0})", w + "({0})", [make()], scope)),
                         (2, lambda: self.either(TEXT, depth, scope, self.word_like)), (1, cast), (2 if not scope else 0, lambda: self.aggregate([TEXT])))

    def daily(self, depth, scope):
        own = lambda: self.own([DATE], scope, self.day)
        if depth <= 0:
            return own()
        return self.pick((4, own), (1, lambda: E(DATE, "({0} " + (s := self.choice("+", "-")) + " {1})", "({0} " + s + " ({1})::integer)", [self.daily(depth - 1, scope), self.number(small=True)], scope)),
                         (1, lambda: E(DATE, "({0})::date", "({0})::date", [self.momentary(depth - 1, scope)], scope)),
                         (1, lambda: self.either(DATE, depth, scope, self.day)),
                         (1 if not scope else 0, lambda: self.aggregate([DATE])))

    def momentary(self, depth, scope):
        at = lambda: E(MOMENT, "at", "e.at", scope=scope)
        own = at if scope else lambda: self.own([MOMENT], scope, self.moment_literal)
        if depth <= 0:
            return self.pick((3, own), (2 if not scope else 0, lambda: self.aggregate([MOMENT])))
        return self.pick((4, own), (2 if not scope else 0, lambda: self.aggregate([MOMENT])),
                         (1, lambda: E(MOMENT, "({0} " + (s := self.choice("+", "-")) + " {1})", "({0} " + s + " {1})", [self.momentary(depth - 1, scope), self.interval()], scope)),
                         (1, lambda: E(MOMENT, "date_trunc('" + (f := self.choice("month", "day", "week", "year")) + "', {0})", "date_trunc('" + f + "', {0})", [self.momentary(depth - 1, scope)], scope)),
                         (1, lambda: E(MOMENT, "({0})::timestamptz", "({0})::timestamptz", [self.daily(depth - 1, scope)], scope)),
                         (1, lambda: self.either(MOMENT, depth, scope, self.moment_literal)))

    def lasting(self, depth, scope):
        """How long something is: from one moment to another, and what can be made of it."""
        def between():
            # A moment of the person or the event on one side at least.
            a = self.momentary(depth - 1, scope)
            b = self.pick((4, self.edge), (2, self.now), (1, self.day), (3, lambda: self.momentary(depth - 1, scope)))
            sql = "({0} - {1}::timestamptz)"
            if self.rng.random() < 0.5:
                a, b, sql = b, a, "({0}::timestamptz - {1})"
            return E(INTERVAL, "({0} - {1})", sql, [a, b], scope)
        if depth <= 0:
            return between()
        make = lambda: self.lasting(depth - 1, scope)

        def joined():
            op = self.choice("+", "-")
            a, b = make(), self.interval() if self.rng.random() < 0.6 else make()
            return E(INTERVAL, "({0} " + op + " {1})", "({0} " + op + " {1})", [a, b], scope)

        def scaled():
            n = self.choice("2", "3", "-1", "0", "0.5", "1.25", "10")
            factor = E(NUMERIC if "." in n else BIGINT, n, f"({n})::{'numeric' if '.' in n else 'bigint'}")
            shape = self.choice("({0} * {1})", "({1} * {0})", "({0} / {1})" if n != "0" else "({0} * {1})")
            return E(INTERVAL, shape, shape, [make(), factor], scope)
        return self.pick((5, between), (2, joined), (2, scaled), (1, lambda: E(INTERVAL, "(- {0})", "(- {0})", [make()], scope)),
                         (2, lambda: self.either(INTERVAL, depth, scope, self.interval)))

    # --- conditions ----------------------------------------------------------------------------
    def joined(self, word, terms, scope):
        shape = (" " + word + " ").join("({%d})" % i for i in range(len(terms)))
        return E(BOOLEAN, shape, shape, terms, scope)

    def constant(self, ty):
        """A literal to compare with, and now and then a constant that has to be worked out."""
        if ty in NUMBERS:
            return self.pick((5, self.number), (4, self.decimal), (1, self.huge), (0.5, lambda: E(BIGINT, "NULL", "NULL")),
                             (1, lambda: E(wider(a.ty, b.ty), "({0} * {1})", "({0} * {1})", [a, b]) if (a := self.number(True)) and (b := self.decimal()) else None))
        if ty == TEXT:
            return self.pick((6, self.word_like), (1, lambda: E(TEXT, "upper({0})", "upper({0})", [self.word_like()])), (0.3, lambda: E(TEXT, "NULL", "NULL")))
        if ty == DATE:
            return self.pick((4, self.day), (1, lambda: E(DATE, "(current_date - 30)", lambda ctx, _: f"({ctx.today} - 30)")),
                             (1, lambda: E(DATE, quote(t := self.day_text()), f"'{t}'::date")))
        if ty == MOMENT:
            return self.pick((4, self.edge), (1, lambda: E(MOMENT, quote(t := self.day_text()), f"'{t}'::timestamptz")))
        if ty == INTERVAL:
            return self.pick((6, self.interval), (1, lambda: E(INTERVAL, quote(t := self.choice("1 day", "-2 hours", "1 year 2 mons")), f"'{t}'::interval")),
                             (2, lambda: E(INTERVAL, "({0} * 3)", "({0} * 3)", [self.interval()])), (0.3, lambda: E(INTERVAL, "NULL", "NULL")))
        return E(BOOLEAN, b := self.choice("true", "false"), b)

    def compare(self, depth, scope):
        kind = self.choice(BIGINT, BIGINT, BIGINT, TEXT, TEXT, DATE, MOMENT, MOMENT, BOOLEAN, INTERVAL)
        op = self.choice("=", "=", "<>", "<", "<=", ">", ">=")
        if kind == BOOLEAN:
            x = self.own([BOOLEAN], scope, lambda: self.condition(0, scope)) if depth <= 0 else self.condition(depth - 1, scope)
            y = self.constant(BOOLEAN) if self.rng.random() < 0.6 or depth <= 0 else self.condition(depth - 1, scope)
            return E(BOOLEAN, "({0}) " + op + " ({1})", "({0}) " + op + " ({1})", [x, y], scope)
        extreme = [n for n in self.of_type(kind, scope, True) if n in EXTREME]
        if extreme and self.rng.random() < 0.15:
            x = self.name(extreme[0], scope)
            y = self.choice(self.huge(), self.number(), self.name(extreme[0], scope)) if kind == BIGINT else self.constant(DATE)
        else:
            x = self.value(kind, depth, scope)
            y = self.constant(kind) if self.rng.random() < 0.8 or depth <= 0 else self.value(kind, depth - 1, scope)
        if self.rng.random() < 0.25:
            op = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(op, op)
            return E(BOOLEAN, "{1} " + op + " {0}", "{1} " + op + " {0}", [x, y], scope)
        return E(BOOLEAN, "{0} " + op + " {1}", "{0} " + op + " {1}", [x, y], scope)

    def condition(self, depth, scope=None):
        if depth <= 0:
            return self.leaf(0, scope)
        inner = lambda: self.condition(depth - 1, scope)

        def case():
            parts = [inner(), inner(), inner()]
            shape = "CASE WHEN {0} THEN ({1}) ELSE ({2}) END" if self.rng.random() < 0.7 else "CASE WHEN {0} THEN ({1}) WHEN {2} THEN NULL END"
            return E(BOOLEAN, shape, shape, parts, scope)
        some = lambda: [inner() for _ in range(2 + self.rng.randrange(2))]
        return self.pick(
            (4, lambda: self.joined("AND", some(), scope)), (4, lambda: self.joined("OR", some(), scope)),
            (3, lambda: E(BOOLEAN, "NOT ({0})", "NOT ({0})", [inner()], scope)), (1.5, case),
            (1, lambda: E(BOOLEAN, "coalesce({0}, {1})", "coalesce({0}, {1})", [inner(), self.constant(BOOLEAN)], scope)),
            (1, lambda: E(BOOLEAN, "({0}) IS " + (w := self.choice("TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "NULL", "NOT NULL", "UNKNOWN", "NOT UNKNOWN")), "({0}) IS " + w, [inner()], scope)),
            (4, lambda: self.leaf(depth, scope)))

    def leaf(self, depth, scope):
        def between():
            kind = self.choice(BIGINT, BIGINT, TEXT, DATE, MOMENT, INTERVAL)
            word = self.choice("BETWEEN", "BETWEEN", "NOT BETWEEN")
            shape = "{0} " + word + " {1} AND {2}"
            return E(BOOLEAN, shape, shape, [self.value(kind, depth - 1, scope), self.constant(kind), self.constant(kind)], scope)

        def listed():
            kind = self.choice(BIGINT, TEXT, TEXT, DATE, BOOLEAN, INTERVAL)
            if kind == BOOLEAN:
                x = self.own([BOOLEAN], scope, lambda: self.constant(BOOLEAN))
            else:
                x = self.value(kind, depth - 1, scope)
            return self.listed(x, [self.constant(kind) for _ in range(1 + self.rng.randrange(4))], scope, self.rng.random() < 0.35)

        def like():
            word = self.choice("LIKE", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE")
            pattern = self.choice("%", "", "P%", "%s", "_____", "%'%", "%\"%", "上%", "100\\%", "a\\_b", "%\\\\%", "nick 1%", "%HA%", "/p1_", "%{%", "ß%", "paris")
            return E(BOOLEAN, "{0} " + word + " {1}", "{0} " + word + " {1}", [self.textual(depth - 1, scope), E(TEXT, quote(pattern), f"{quote(pattern)}::text")], scope)

        def null():
            word = self.choice("IS NULL", "IS NOT NULL")
            x = self.value(self.choice(BIGINT, TEXT, DATE, MOMENT, INTERVAL), depth - 1, scope)
            return E(BOOLEAN, "{0} " + word, "{0} " + word, [x], scope)

        def plain():
            return self.own([BOOLEAN], scope, lambda: self.constant(BOOLEAN))

        options = [(10, lambda: self.compare(depth, scope)), (2, between), (3, listed), (2, like), (2, null), (1, plain), (0.3, lambda: self.constant(BOOLEAN)),
                   (0.2, lambda: E(BOOLEAN, "NULL::boolean", "NULL::boolean"))]
        if not scope:
            options += [(7, self.behaviour), (1, self.did), (1.5, self.sequence), (0.4, self.has_identifier), (1.5, self.labelled)]
            if self.segments:
                options.append((1.5, self.in_segment))
        return self.pick(*options)

    def behaviour(self):
        """An aggregate beside a number: what day columns are for."""
        x = self.aggregate(NUMBERS)
        if self.rng.random() < 0.2:
            other = self.decimal()
            x = E(wider(x.ty, other.ty), "coalesce({0}, {1})", "coalesce({0}, {1})", [x, other])
        if self.rng.random() < 0.12:
            word = self.choice("IS NULL", "IS NOT NULL")
            return E(BOOLEAN, "{0} " + word, "{0} " + word, [x])
        y = self.pick((6, lambda: self.number(True)), (3, self.decimal), (1, self.huge), (2, self.number))
        op = self.choice("=", "<>", "<", "<=", ">", ">=", ">", ">=", "=")
        if self.rng.random() < 0.2:
            return E(BOOLEAN, "{1} " + op + " {0}", "{1} " + op + " {0}", [x, y])
        return E(BOOLEAN, "{0} " + op + " {1}", "{0} " + op + " {1}", [x, y])

    def did(self):
        event = self.choice("purchase", "view", "click")
        names = [n for n, t in PROPERTIES[event].items() if t in (TEXT, BOOLEAN) and n.islower()]
        text, terms = event, []
        if self.rng.random() < 0.7:
            name = self.rng.choice(names)
            value = self.word_like(name) if PROPERTIES[event][name] == TEXT else self.constant(BOOLEAN)
            text += f", {name} => {value.text()}"
            terms.append(E(BOOLEAN, "{0} = {1}", "{0} = {1}", [self.name(name, event), value]))
        at = E(MOMENT, "at", "e.at")
        if self.rng.random() < 0.5:
            days = self.choice("30 days", "1 day", "12 hours", "400 days")
            text += f", within => '{days}'"
            terms.append(E(BOOLEAN, "", lambda ctx, _: f"e.at >= {ctx.now} - interval '{days}'"))
        elif self.rng.random() < 0.5:
            since, until = self.moment_literal(), self.moment_literal()
            text += f", since => {since.text()}, until => {until.text()}"
            terms += [E(BOOLEAN, "", "{0} >= {1}", [at, since]), E(BOOLEAN, "", "{0} < {1}", [at, until])]

        def sql(ctx, _):
            return f"EXISTS (SELECT FROM oracle.happened e WHERE e.profile_id = p.profile_id AND e.event = '{event}' AND e.at <= {ctx.now}" + \
                "".join(f" AND {t.sql(ctx)}" for t in terms) + ")"
        return E(BOOLEAN, f"did({text})", sql)

    def labelled(self):
        """Conditions on the attribute of several values."""
        value = self.choice(*[label for label in LABELS if label is not None], "nothing such")
        compared = self.choice("= ANY", "= ANY", "<> ALL")
        x = E(TEXT, quote(value), f"{quote(value)}::text") if self.rng.random() < 0.9 else self.choice(self.textual(0, None), E(TEXT, "NULL", "NULL"))
        return self.pick(
            (6, lambda: E(BOOLEAN, "{0} " + compared + " (labels)", "{0} " + compared + " (p.labels)", [x])),
            (1, lambda: E(BOOLEAN, "labels " + (w := self.choice("IS NULL", "IS NOT NULL")), "p.labels " + w)),
            (1, lambda: E(BOOLEAN, "cardinality(labels) " + (w := self.choice("= 0", "> 1", "<= 2", "IS NULL")), "cardinality(p.labels) " + w)))

    def has_identifier(self):
        name = self.rng.choice(IDENTIFIERS)
        return E(BOOLEAN, f"has_identifier('{name}')",
                 f"EXISTS (SELECT FROM oracle.known k WHERE k.type = '{name}' AND k.profile_id = p.profile_id)")

    def sequence(self):
        """Events one after the other."""
        rng = self.rng
        steps = []
        for i in range(1 + rng.randrange(4)):
            event = self.choice("purchase", "view", "view", "click")
            condition = None
            if rng.random() < 0.25:
                condition = self.filter(event) if rng.random() < 0.4 else self.values(self.name("category", event), "category", event)
            steps.append((event, i > 0 and rng.random() < 0.4, condition))
        within = self.choice(None, None, None, "0 days", "1 hour", "24 hours", "1 day", "30 days", "1 month", "23 hours 59 minutes 59.999999 seconds")
        return self.chain(steps, within, self.choice(None, None, "category"))

    def chain(self, steps, within, by):
        """A sequence of (event, whether it must not come, filter); the SQL tries every chain."""
        texts, parts, numbers = [], [], []
        for event, absent, condition in steps:
            text = ("NOT " if absent else "") + event
            numbers.append(None if condition is None else len(parts))
            if condition is not None:
                text += "() FILTER (WHERE {%d})" % len(parts)
                parts.append(condition)
            texts.append(text)
        if within:
            texts.append(f"within => '{within}'")
        if by:
            texts.append(f"by => {by}")

        def sql(ctx, conditions):
            def step(i, alias):
                more = "" if numbers[i] is None else f" AND ({conditions[numbers[i]]})"
                return (f"(SELECT e.at, e.event_id, e.properties->>'category' AS same FROM oracle.happened e WHERE e.profile_id = p.profile_id "
                        f"AND e.event = '{steps[i][0]}' AND e.at <= {ctx.now}{more}) {alias}")
            here = lambda a: f"({a}.at, {a}.event_id)"
            same = lambda a: f" AND {a}.same = s0.same" if by else ""
            froms, wheres, waiting, last = [], [], [], None
            for i, (_, absent, _) in enumerate(steps):
                if absent:
                    waiting.append(i)
                    continue
                alias = f"s{i}"
                froms.append(step(i, alias))
                wheres.append(f"{alias}.same IS NOT NULL" + same(alias) if by else "true")
                if last:
                    wheres.append(f"{here(alias)} > {here(last)}")
                    for x in waiting:
                        wheres.append(f"NOT EXISTS (SELECT FROM {step(x, 'x')} WHERE {here('x')} > {here(last)} AND {here('x')} < {here(alias)}{same('x')})")
                waiting, last = [], alias
            if waiting:
                union = " UNION ALL ".join(f"SELECT x.at, x.event_id FROM {step(x, 'x')} WHERE true{same('x')}" for x in waiting)
                late = "false" if within is None else f"y.at - interval '{within}' > {last}.at"
                wheres.append(f"coalesce((SELECT {late} FROM ({union}) y WHERE {here('y')} > {here(last)} ORDER BY y.at, y.event_id LIMIT 1), true)")
            if within:
                wheres.append(f"s0.at >= {last}.at - interval '{within}'")
            return f"EXISTS (SELECT FROM {', '.join(froms)} WHERE {' AND '.join(wheres)})"

        def fewer():
            for i in range(1, len(steps)):
                yield self.chain(steps[:i] + steps[i + 1:], within, by)
            if len(steps) > 1 and not steps[1][1]:
                yield self.chain(steps[1:], within, by)
            for i, (event, absent, condition) in enumerate(steps):
                if condition is not None:
                    yield self.chain(steps[:i] + [(event, absent, None)] + steps[i + 1:], within, by)
            if within:
                yield self.chain(steps, None, by)
            if by:
                yield self.chain(steps, within, None)
        whole = E(BOOLEAN, "sequence(" + ", ".join(texts) + ")", sql, parts)
        whole.fewer = fewer
        return whole

    def in_segment(self):
        name = self.rng.choice(list(self.segments))

        def sql(ctx, _):
            if ctx.as_of is not None and ctx.segments[name] is not None:
                return f"(({ctx.segments[name].sql(ctx)}) IS TRUE)"
            return f"EXISTS (SELECT FROM oracle.belongs b WHERE b.segment = {quote(name)} AND b.profile_id = p.profile_id)"
        return E(BOOLEAN, f"in_segment({quote(name)})", sql)
