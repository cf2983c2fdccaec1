package autoloader.reading;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.hadoop.io.Text;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.json.JSONOptions;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Map$;
import scala.jdk.javaapi.CollectionConverters;

/** Whether this Spark is one for which the reader was built: {@code java_method('autoloader.reading.Check', 'works')}. */
public final class Check {
    /** What it was made from: beside the classes, by whoever packs them. */
    private static final String MADE_FROM = "made-from";

    private Check() {}

    /** {@code works}, and what it was made from; or what is in the way. Reads a few lines, in memory, in all the ways that there are. */
    public static String works() {
        try {
            var data = StructType.fromDDL("row STRUCT<a: BIGINT, b: STRUCT<c: DOUBLE>>, raw STRING, keys ARRAY<STRING>, file INT");
            var options = Map$.MODULE$.<String, String>empty();
            var json = new JSONOptions(options, "UTC", "corrupt");
            new NamedFiles(Named.of(options)).listFiles(null, null);
            new PlainLinesFormat();
            var lines = List.of(new Text("{\"a\": 1, \"b\": {\"c\": 0.5}}"), new Text("{\"a\": 1, \"x\": 2}"));
            var order = new Order(data, data, options, json, false);
            var odd = new OddLine(order.record, json, order.duplicates);
            var records = new Records(order, new PlainLine(order), odd, 7, CollectionConverters.asScala(lines.iterator()));
            var plain = records.next().copy();
            var other = records.next().copy();
            return isRight(plain, other) ? "works " + madeFrom() : "it reads " + plain + " and " + other;
        } catch (Exception | LinkageError e) {
            return e.toString();
        }
    }

    private static String madeFrom() throws IOException {
        try (InputStream in = Check.class.getResourceAsStream(MADE_FROM)) {
            return in == null ? "unknown" : new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static boolean isRight(InternalRow plain, InternalRow other) {
        return plain.getStruct(0, 2).getLong(0) == 1
                && plain.getStruct(0, 2).getStruct(1, 1).getDouble(0) == 0.5
                && plain.isNullAt(1)
                && plain.isNullAt(2)
                && plain.getInt(3) == 7
                && other.getStruct(0, 2).getLong(0) == 1
                && other.getUTF8String(1).toString().equals("{\"a\": 1, \"x\": 2}")
                && other.getArray(2).numElements() == 2;
    }
}
