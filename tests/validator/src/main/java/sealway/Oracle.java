package sealway;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import ca.uhn.fhir.validation.ValidationResult;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.List;
import java.util.stream.Collectors;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirDefaultPolicyAdvisor;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r5.utils.validation.IResourceValidator;
import org.hl7.fhir.r5.utils.validation.IValidationPolicyAdvisor;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;

/** Judges JSON resources with HL7's validator: one line a file, `name TAB valid|error TAB first errors`. */
public final class Oracle {
  private static final int ERRORS_SHOWN = 4;
  /** Larger files are judged without the types of their references: resolving them takes the square of their size. */
  private static final long TYPED_BYTES_MAX = 300_000;

  public static void main(String[] args) throws Exception {
    FhirContext context = FhirContext.forR4();
    ValidationSupportChain support = new ValidationSupportChain(
        new DefaultProfileValidationSupport(context),
        new CommonCodeSystemsTerminologyService(context),
        new InMemoryTerminologyServerValidationSupport(context),
        new SnapshotGeneratingValidationSupport(context));
    FhirValidator plain = context.newValidator();
    plain.registerValidatorModule(new FhirInstanceValidator(support));
    FhirInstanceValidator module = new FhirInstanceValidator(support);
    module.setValidatorResourceFetcher(new TypesOnly());
    module.setValidatorPolicyAdvisor(new FhirDefaultPolicyAdvisor() {
      @Override
      public ReferenceValidationPolicy policyForReference(IResourceValidator validator, Object appContext, String path,
          String url, IValidationPolicyAdvisor.ReferenceDestinationType destinationType) {
        return ReferenceValidationPolicy.CHECK_TYPE_IF_EXISTS;
      }
    });
    FhirValidator validator = context.newValidator();
    validator.registerValidatorModule(module);
    List<Path> files;
    try (var listed = Files.list(Paths.get(args[0]))) {
      files = listed.filter(p -> p.toString().endsWith(".json")).sorted().collect(Collectors.toList());
    }
    if (args.length > 2) {
      List<String> wanted = Files.readAllLines(Paths.get(args[2]));
      var set = new java.util.HashSet<>(wanted);
      files.removeIf(p -> !set.contains(p.getFileName().toString()));
    }
    try (PrintStream out = new PrintStream(Files.newOutputStream(Paths.get(args[1])), true, StandardCharsets.UTF_8)) {
      for (Path file : files) {
        out.println(file.getFileName() + "\t" + judge(Files.size(file) < TYPED_BYTES_MAX ? validator : plain, file));
      }
    }
  }

  private static String judge(FhirValidator validator, Path file) {
    try {
      ValidationResult result = validator.validateWithResult(Files.readString(file));
      List<SingleValidationMessage> errors = result.getMessages().stream()
          .filter(m -> m.getSeverity() == ResultSeverityEnum.ERROR || m.getSeverity() == ResultSeverityEnum.FATAL)
          .collect(Collectors.toList());
      if (errors.isEmpty()) {
        return "valid\t";
      }
      return "error\t" + errors.stream().limit(ERRORS_SHOWN)
          .map(m -> m.getLocationString() + ": " + oneLine(m.getMessage()))
          .collect(Collectors.joining(" ¦ "));
    } catch (Exception | StackOverflowError e) {
      return "error\t" + oneLine(e.getClass().getSimpleName() + ": " + e.getMessage());
    }
  }

  private static String oneLine(String text) {
    String flat = String.valueOf(text).replaceAll("\\s+", " ");
    return flat.length() > 300 ? flat.substring(0, 300) : flat;
  }
}
