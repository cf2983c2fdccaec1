package autoloader.reading;

import java.util.List;
import org.apache.hadoop.io.Text;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.json.JSONOptions;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Map$;
import scala.jdk.javaapi.CollectionConverters;

/** Whether this Spark is one for which the reader was built: {@code java_method('autoloader.reading.Check', 'works')}. */
public final class Check {
    /** With the version of options and columns, which both sides must mean alike. */
    private static final String WORKS = "works 1";

    private Check() {}

    /** {@link #WORKS}, or what is in the way. Reads a few lines, in memory, in all the ways that there are. */
    public static String works() {
        try {
            var data = StructType.fromDDL("row STRUCT<a: BIGINT, b: STRUCT<c: DOUBLE>>, raw STRING, file INT");
            var options = Map$.MODULE$.<String, String>empty();
            var json = new JSONOptions(options, "UTC", "corrupt");
            new NamedFiles(Named.of(options)).listFiles(null, null);
            new PlainLinesFormat();
            var lines = List.of(new Text("{\"a\": 1, \"b\": {\"c\": 0.5}}"), new Text("{\"a\": 1, \"x\": 2}"));
            var order = new Order(data, data, options, json);
            var records = new Records(order, new PlainLine(order), 7, CollectionConverters.asScala(lines.iterator()));
            var plain = records.next().copy();
            var other = records.next().copy();
            return isRight(plain, other) ? WORKS : "it reads " + plain + " and " + other;
        } catch (Exception | LinkageError e) {
            return e.toString();
        }
    }

    private static boolean isRight(InternalRow plain, InternalRow other) {
        return plain.getStruct(0, 2).getLong(0) == 1
                && plain.getStruct(0, 2).getStruct(1, 1).getDouble(0) == 0.5
                && plain.isNullAt(1)
                && plain.getInt(2) == 7
                && other.isNullAt(0)
                && other.getUTF8String(1).toString().equals("{\"a\": 1, \"x\": 2}");
    }
}
