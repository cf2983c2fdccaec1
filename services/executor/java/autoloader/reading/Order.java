package autoloader.reading;

import java.io.Serializable;
import java.util.Arrays;
import org.apache.spark.sql.catalyst.json.JSONOptions;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Map;

/**
 * What is to be read, for all files alike; it travels to every task. Beside the files there is {@code
 * autoloader.required}, a JSON array of the fields that a line must have to be plain.
 */
final class Order implements Serializable {
    private static final long serialVersionUID = 1L;

    final Named files;
    final StructType record;
    final String[] required;
    final JSONOptions json;
    /** Whether a variant may name a field twice. */
    final boolean duplicates;

    /** Where the record, the line, its names and the file stand in what is asked for; -1: not asked for. */
    final int recordAt;
    final int rawAt;
    final int namesAt;
    final int fileAt;
    final int width;

    /** {@code data}: all columns that the source has; {@code asked}: those of them that are wanted. */
    Order(
            StructType data, StructType asked, Map<String, String> options, JSONOptions json, boolean duplicates) {
        this.files = Named.of(options);
        this.record = (StructType) data.apply(Records.RECORD).dataType();
        this.required = Named.option(options, "autoloader.required", String[].class);
        this.json = json;
        this.duplicates = duplicates;
        var names = Arrays.asList(asked.fieldNames());
        this.recordAt = names.indexOf(Records.RECORD);
        this.rawAt = names.indexOf(Records.RAW);
        this.namesAt = names.indexOf(Records.NAMES);
        this.fileAt = names.indexOf(Records.FILE);
        this.width = names.size();
    }
}
