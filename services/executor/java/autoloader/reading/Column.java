package autoloader.reading;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import org.apache.spark.sql.catalyst.expressions.SpecificInternalRow;
import org.apache.spark.sql.catalyst.json.JacksonParser;
import org.apache.spark.sql.types.BooleanType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DoubleType;
import org.apache.spark.sql.types.IntegerType;
import org.apache.spark.sql.types.LongType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.unsafe.types.UTF8String;
import scala.Function1;

/**
 * How a column takes its value: what Spark's {@code JacksonParser.makeConverter} does with the plainest types and their
 * own tokens is done here without its detours; all else is left to it.
 */
final class Column {
    private enum Kind {
        BOOLEAN,
        INT,
        LONG,
        DOUBLE,
        TEXT,
        OTHER
    }

    private final Kind kind;
    private final Function1<JsonParser, Object> converter;

    private Column(Kind kind, Function1<JsonParser, Object> converter) {
        this.kind = kind;
        this.converter = converter;
    }

    static Column of(DataType type, JacksonParser spark) {
        return new Column(kindOf(type), spark.makeConverter(type));
    }

    /** Puts the value at which {@code json} stands into the row; throws if it does not fit. */
    void take(JsonParser json, JsonToken value, WatchedParser watched, SpecificInternalRow row, int at)
            throws IOException {
        boolean isInteger = value == JsonToken.VALUE_NUMBER_INT;
        if (kind == Kind.LONG && isInteger) {
            row.setLong(at, json.getLongValue());
        } else if (kind == Kind.TEXT && value == JsonToken.VALUE_STRING) {
            row.update(at, text(json));
        } else if (kind == Kind.DOUBLE && (isInteger || value == JsonToken.VALUE_NUMBER_FLOAT)) {
            row.setDouble(at, json.getDoubleValue());
        } else if (kind == Kind.INT && isInteger) {
            row.setInt(at, json.getIntValue());
        } else if (kind == Kind.BOOLEAN && value.isBoolean()) {
            row.setBoolean(at, value == JsonToken.VALUE_TRUE);
        } else if (kind != Kind.OTHER && value == JsonToken.VALUE_NULL) {
            row.setNullAt(at);
        } else {
            row.update(at, converter.apply(watched)); // in a column of variants, a null is a value
        }
    }

    private static Kind kindOf(DataType type) {
        if (type instanceof LongType) {
            return Kind.LONG;
        }
        if (type instanceof StringType) {
            return Kind.TEXT;
        }
        if (type instanceof DoubleType) {
            return Kind.DOUBLE;
        }
        if (type instanceof IntegerType) {
            return Kind.INT;
        }
        return type instanceof BooleanType ? Kind.BOOLEAN : Kind.OTHER;
    }

    /** As Spark makes it of a Java text, but for those of ASCII without one. */
    private static UTF8String text(JsonParser json) throws IOException {
        char[] from = json.getTextCharacters();
        int begin = json.getTextOffset();
        byte[] bytes = new byte[json.getTextLength()];
        for (int at = 0; at < bytes.length; at++) {
            char c = from[begin + at];
            if (c >= 0x80) {
                return UTF8String.fromString(json.getText());
            }
            bytes[at] = (byte) c;
        }
        return UTF8String.fromBytes(bytes);
    }
}
