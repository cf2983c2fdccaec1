package autoloader.reading;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import org.apache.hadoop.io.Text;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.json.JacksonParser;
import org.apache.spark.sql.catalyst.util.BadRecordException;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.Platform;
import org.apache.spark.unsafe.types.UTF8String;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractFunction2;

/** What Spark's parser makes of a line, if the line is plain. Nothing but speed is at stake when it says too little. */
final class PlainLine {
    private static final long HIGH_BITS = 0x8080808080808080L;

    private final JacksonParser parser;
    private final WatchedParser watched;
    private final Open open;
    private final Shown shown = new Shown();
    private final int[] required;

    PlainLine(Order order) {
        StructType record = order.record;
        this.parser = new JacksonParser(record, order.json, false, JacksonParser.$lessinit$greater$default$4());
        this.watched = new WatchedParser(order.json.columnNameOfCorruptRecord());
        this.open = new Open(watched);
        this.required = Arrays.stream(order.required).mapToInt(record::fieldIndex).toArray();
    }

    /** The row; null: the line is not plain. It keeps nothing of the line's bytes. */
    InternalRow parsed(Text line) {
        byte[] bytes = line.getBytes();
        int length = line.getLength();
        if (length == 0 || bytes[0] != '{' || !isText(bytes, length)) {
            return null;
        }
        try {
            var rows = parser.parse(line, open, shown).iterator();
            if (!rows.hasNext()) {
                return null;
            }
            InternalRow row = rows.next();
            return isWhole(row) ? row : null;
        } catch (Exception e) {
            // Java does not know that Scala throws this one.
            if (e instanceof BadRecordException) {
                return null;
            }
            throw e;
        }
    }

    private boolean isWhole(InternalRow row) {
        for (int at : required) {
            if (row.isNullAt(at)) {
                return false;
            }
        }
        return watched.sawNothingOdd();
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

    /** How a line is opened, for Spark's parser. */
    private static final class Open extends AbstractFunction2<JsonFactory, Text, JsonParser> {
        private final WatchedParser watched;

        Open(WatchedParser watched) {
            this.watched = watched;
        }

        @Override
        public JsonParser apply(JsonFactory factory, Text line) {
            try {
                return watched.over(factory.createParser(line.getBytes(), 0, line.getLength()));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /** How a line is shown in an error; nobody looks at ours. */
    private static final class Shown extends AbstractFunction1<Text, UTF8String> {
        @Override
        public UTF8String apply(Text line) {
            return UTF8String.EMPTY_UTF8;
        }
    }
}
