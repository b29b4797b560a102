import java.math.BigDecimal;
import java.sql.*;
import java.time.*;
import java.util.*;

/** Run by tests/clients/jdbc, from its source. */
class Metadata {
    static void check(boolean holds, String what) {
        if (!holds) throw new IllegalStateException(what);
    }

    public static void main(String[] args) throws Exception {
        try (Connection connection = DriverManager.getConnection(args[0])) {
            DatabaseMetaData metadata = connection.getMetaData();
            Set<String> views = new TreeSet<>();
            try (ResultSet tables = metadata.getTables(null, "cdp", "%", new String[] {"VIEW"})) {
                while (tables.next()) {
                    views.add(tables.getString("TABLE_NAME"));
                    check(tables.getString("REMARKS") != null, tables.getString("TABLE_NAME") + " has no remarks");
                }
            }
            check(views.containsAll(List.of("profiles", "identifiers", "events", "attributes", "segments", "segment_members", "sources", "merges")), "views: " + views);
            Set<Integer> plain = Set.of(Types.BIGINT, Types.INTEGER, Types.SMALLINT, Types.NUMERIC, Types.DOUBLE, Types.REAL, Types.VARCHAR, Types.BIT, Types.BOOLEAN, Types.DATE, Types.TIMESTAMP, Types.ARRAY);
            int columns = 0;
            for (String view : views) {
                try (ResultSet found = metadata.getColumns(null, "cdp", view, "%")) {
                    while (found.next()) {
                        String where = view + "." + found.getString("COLUMN_NAME") + ": " + found.getString("TYPE_NAME");
                        // jsonb and intervals have no type of their own in JDBC.
                        boolean known = plain.contains(found.getInt("DATA_TYPE")) || Set.of("jsonb", "interval").contains(found.getString("TYPE_NAME"));
                        check(known, where + " is of JDBC type " + found.getInt("DATA_TYPE"));
                        check(found.getString("REMARKS") != null, where + " has no remarks");
                        columns++;
                    }
                }
                try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT * FROM cdp." + view + " LIMIT 50")) {
                    while (rows.next()) for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) rows.getObject(i);
                }
            }
            try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM cdp.profiles WHERE name = ?")) {
                // From the fifth run on the statement is prepared on the server and values come in binary.
                for (int run = 0; run < 12; run++) {
                    statement.setString(1, "Person 7");
                    try (ResultSet row = statement.executeQuery()) {
                        check(row.next(), "Person 7");
                        check(row.getLong("tier") == 3 && !row.getBoolean("member") && row.getBigDecimal("spent").equals(new BigDecimal("8.75")), "numbers");
                        check(row.getObject("born", LocalDate.class).equals(LocalDate.of(1980, 1, 8)), "a date");
                        check(row.getObject("seen", OffsetDateTime.class).toInstant().equals(Instant.parse("2024-01-01T07:00:00Z")), "a time");
                        check(Arrays.equals((String[]) row.getArray("labels").getArray(), new String[] {"all", "l1"}), "a set");
                        check(row.getLong("visits") == 3 && !row.next(), "a tag");
                    }
                }
            }
            try (PreparedStatement statement = connection.prepareStatement("SELECT cdp_segment_count(?), (SELECT count(*) FROM cdp.profiles WHERE tier = ?)")) {
                for (int run = 0; run < 12; run++) {
                    statement.setString(1, "tier = " + run % 4);
                    statement.setLong(2, run % 4);
                    try (ResultSet row = statement.executeQuery()) {
                        check(row.next() && row.getLong(1) == 50 && row.getLong(2) == 50, "tier " + run % 4);
                    }
                }
            }
            System.out.println(metadata.getDriverVersion() + ": " + views.size() + " views, " + columns + " columns");
        }
    }
}
