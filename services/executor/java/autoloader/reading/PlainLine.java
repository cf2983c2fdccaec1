package autoloader.reading;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.io.Text;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.SpecificInternalRow;
import org.apache.spark.sql.catalyst.json.JacksonParser;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.Platform;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * What is in a line, if it is plain. Nothing but speed is at stake when that is denied: the line is then an
 * {@link OddLine}. So whatever is unusual is denied, and values that are not of the plainest types are left to Spark's
 * own parser.
 *
 * <p>One serves for all lines that a task reads. It returns the same row each time.
 */
final class PlainLine {
    private static final long HIGH_BITS = 0x8080808080808080L;

    private final JsonFactory factory;
    private final Column[] columns;
    /** Null: a column that is none of the data's. */
    private final String[] names;
    private final Map<String, Integer> positions = new HashMap<>();
    private final int[] required;
    private final WatchedParser watched = new WatchedParser();
    private final SpecificInternalRow row;

    PlainLine(Order order) {
        StructField[] fields = order.record.fields();
        var spark = new JacksonParser(order.record, order.json, false, JacksonParser.$lessinit$greater$default$4());
        this.factory = order.json.buildJsonFactory();
        this.columns = Arrays.stream(fields).map(f -> Column.of(f.dataType(), spark)).toArray(Column[]::new);
        this.names = Arrays.stream(fields).map(f -> f.name().intern()).toArray(String[]::new);
        for (int at = 0; at < fields.length; at++) {
            if (names[at].equals(order.json.columnNameOfCorruptRecord())) {
                names[at] = null; // the column for what does not fit is none of the data's
            } else {
                positions.put(names[at], at);
            }
        }
        this.required = Arrays.stream(order.required).mapToInt(positions::get).toArray();
        this.row = new SpecificInternalRow(order.record);
    }

    /** The row; null: the line is not plain. It keeps nothing of the line's bytes. */
    InternalRow parsed(Text line) {
        byte[] bytes = line.getBytes();
        int length = line.getLength();
        // With a zero behind the brace, Jackson would take it for UTF-16 or UTF-32.
        if (length < 2 || bytes[0] != '{' || bytes[1] == 0 || !isText(bytes, length)) {
            return null;
        }
        try (JsonParser json = factory.createParser(bytes, 0, length)) {
            return isTaken(json) && hasRequired() ? row : null;
        } catch (Exception e) {
            // Scala throws what Java does not know of. Whatever it is, it is not swallowed: the line is parsed again.
            return null;
        }
    }

    /** Whether all that the line says went into the row. */
    private boolean isTaken(JsonParser json) throws IOException {
        for (int at = 0; at < columns.length; at++) {
            row.setNullAt(at);
        }
        if (json.nextToken() != JsonToken.START_OBJECT) {
            return false;
        }
        watched.over(json);
        int next = 0;
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            int at = positionOf(json.currentName(), next);
            if (at < 0) {
                return false;
            }
            next = at + 1;
            JsonToken value = json.nextToken();
            if (value == JsonToken.VALUE_NUMBER_FLOAT && json.isNaN()) { // INF, too
                return false;
            }
            columns[at].take(json, value, watched, row, at);
        }
        return json.currentToken() == JsonToken.END_OBJECT && json.nextToken() == null && !watched.sawOdd();
    }

    /** {@code next}: where it is if it stands behind the one before, as it mostly does; -1: nowhere. */
    private int positionOf(String name, int next) {
        // Jackson interns the names that it meets.
        if (next < names.length && names[next] == name) {
            return next;
        }
        return positions.getOrDefault(name, -1);
    }

    private boolean hasRequired() {
        for (int at : required) {
            if (row.isNullAt(at)) {
                return false;
            }
        }
        return true;
    }

    /** Whether bytes are UTF-8: the parser would take some that are not for something else. */
    private static boolean isText(byte[] bytes, int length) {
        int at = 0;
        for (; at + Long.BYTES <= length; at += Long.BYTES) {
            if ((Platform.getLong(bytes, Platform.BYTE_ARRAY_OFFSET + at) & HIGH_BITS) != 0) {
                return UTF8String.fromBytes(bytes, 0, length).isValid();
            }
        }
        for (; at < length; at++) {
            if (bytes[at] < 0) {
                return UTF8String.fromBytes(bytes, 0, length).isValid();
            }
        }
        return true;
    }
}
